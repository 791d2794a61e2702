#include "gprat/gp/contraction.hpp"

#include <algorithm>
#include <array>

#include "gprat/linalg/buffer.hpp"

namespace gprat::gp {

namespace {

using covariance::Pairing;
using covariance::Points;
using covariance::Region;

// Points whose own variances are differentiated at a time: all pairs are evaluated, few are needed.
constexpr index_t kPairs = 8;

/// The lower triangle of a symmetric matrix stands for its mirror image; the upper is not needed.
template <class T>
void fold(MatrixView<T> adjoint) {
    for (index_t column = 0; column < adjoint.cols; ++column) {
        for (index_t row = 0; row < column; ++row) adjoint(row, column) = T(0);
        for (index_t row = column + 1; row < adjoint.rows; ++row) adjoint(row, column) *= T(2);
    }
}

}  // namespace

std::vector<double> PartialGradients::sum() const {
    std::vector<double> total(static_cast<std::size_t>(parameters_), 0.0);
    for (std::size_t i = 0; i < values_.size(); ++i) total[i % total.size()] += values_[i];
    return total;
}

template <class T>
void contract_pairs(const covariance::Covariance<T>& kernel, Points<T> rows, Points<T> columns,
                    MatrixView<T> adjoint, const covariance::GradientSink<T>& sink) {
    const bool diagonal = rows.first == columns.first;
    if (diagonal) fold(adjoint);
    kernel.accumulate_gradient(rows, columns, Pairing::same_set,
                               diagonal ? Region::lower : Region::full, adjoint, sink);
}

template <class T>
void contract_tile(const TrainingSink<T>& sink, MatrixView<T> adjoint, index_t i, index_t j,
                   index_t part) {
    const auto& problem = sink.problem;
    const auto layout = problem.layout();
    const auto rows = tile_points(problem.inputs, layout, i);
    const auto columns = tile_points(problem.inputs, layout, j);
    const bool diagonal = i == j;
    if (diagonal && sink.noise != nullptr)
        for (index_t row = 0; row < adjoint.rows; ++row)
            sink.noise[rows.first + row] = static_cast<double>(adjoint(row, row));
    const PointSink points{sink.parameters.part(part), sink.inputs};
    contract_pairs<T>(problem.kernel, rows, columns, adjoint,
                      {points.parameters, points.of(rows), points.of(columns)});
}

template <class T>
void contract_variances(const Problem<T>& problem, Points<T> points, const T* weights,
                        const PointSink& sink) {
    for (index_t begin = 0; begin < points.count; begin += kPairs) {
        const auto pairs = points.slice(begin, std::min(kPairs, points.count - begin));
        std::array<T, kPairs * kPairs> diagonal{};
        for (index_t i = 0; i < pairs.count; ++i)
            diagonal[i * (pairs.count + 1)] = weights == nullptr ? T(1) : weights[begin + i];
        problem.kernel.accumulate_gradient(
            pairs, pairs, Pairing::same_set, Region::lower,
            MatrixView<const T>(diagonal.data(), pairs.count, pairs.count),
            {sink.parameters, sink.of(pairs), sink.of(pairs)});
    }
}

template <class T>
void contract_covariances(const Problem<T>& problem, Points<T> rows, Points<T> columns,
                          MatrixView<const T> weights, const PointSink& sink) {
    const bool diagonal = rows.first == columns.first;
    const ThreadScratch<T> scratch(weights.rows * weights.cols);
    const MatrixView<T> adjoint(scratch.data(), weights.rows, weights.cols);
    for (index_t j = 0; j < weights.cols; ++j)
        for (index_t i = 0; i < weights.rows; ++i)
            adjoint(i, j) = (diagonal ? T(1) : T(2)) * weights(i, j);
    contract_pairs<T>(problem.kernel, rows, columns, adjoint,
                      {sink.parameters, sink.of(rows), sink.of(columns)});
}

#define GPRAT_INSTANTIATE(T)                                                                       \
    template void contract_pairs(const covariance::Covariance<T>&, Points<T>, Points<T>,           \
                                 MatrixView<T>, const covariance::GradientSink<T>&);               \
    template void contract_tile(const TrainingSink<T>&, MatrixView<T>, index_t, index_t, index_t); \
    template void contract_variances(const Problem<T>&, Points<T>, const T*, const PointSink&);    \
    template void contract_covariances(const Problem<T>&, Points<T>, Points<T>,                    \
                                       MatrixView<const T>, const PointSink&);
GPRAT_INSTANTIATE(float)
GPRAT_INSTANTIATE(double)
#undef GPRAT_INSTANTIATE

}  // namespace gprat::gp
