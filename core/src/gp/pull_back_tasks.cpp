#include <algorithm>

#include "gprat/gp/pull_back.hpp"
#include "gprat/linalg/blas.hpp"
#include "gprat/linalg/buffer.hpp"
#include "gprat/linalg/copy.hpp"

// What the tasks of a pull back do.
namespace gprat::gp {

namespace {

using blas::Op;
using covariance::Pairing;
using covariance::Region;

// Test points whose covariances a task multiplies by their cotangents at a time.
constexpr index_t kMeanPoints = 128;

/// to (rows × columns, row-major) := from.
template <class T>
void copy_rows(MatrixView<const T> from, double* to) {
    for (index_t i = 0; i < from.rows; ++i)
        for (index_t j = 0; j < from.cols; ++j)
            to[i * from.cols + j] = static_cast<double>(from(i, j));
}

}  // namespace

/// K*·m̄, of one tile of rows.
template <class T>
void PullBack<T>::project_cotangent(index_t i) {
    const auto out = rows(right_, i, columns().weights, problem_.outputs());
    const auto points_of_row = tile_points(problem_.inputs, layout_, i);
    for (index_t j = 0; j < out.cols; ++j) std::fill_n(out.column(j), out.rows, T(0));
    const ThreadScratch<T> scratch(out.rows * kMeanPoints);
    for (index_t begin = 0; begin < points(); begin += kMeanPoints) {
        const index_t count = std::min(kMeanPoints, points() - begin);
        const MatrixView<T> k(scratch.data(), out.rows, count);
        problem_.kernel.evaluate(points_of_row, test_.points.slice(begin, count), Pairing::cross,
                                 Region::full, k);
        blas::gemm(Op::none, Op::transpose, T(1), k,
                   cotangents_.mean_t.block(0, begin, out.cols, count), T(1), out);
    }
}

/// What tile row i of W has to do with the points of block q.
template <class T>
void PullBack<T>::multiply(index_t i, index_t q) {
    const index_t first = blocks_.begin(q), count = blocks_.extent(q), k = problem_.outputs();
    const auto mean_t = cotangents_.mean_t.block(0, first, k, count);
    const auto x = tile_points(problem_.inputs, layout_, i);
    const auto points_of_block = tile_points(test_.points, blocks_, q);
    const ThreadScratch<T> scratch(x.count * count);
    const MatrixView<T> adjoint(scratch.data(), x.count, count);
    if (cotangents_.has_covariance()) {
        multiply_by_cotangent(i, q, adjoint);
        if (wants(kOverFactor)) copy_columns<T>(adjoint, rows(left_, i, first, count));
        if (wants(kOverTraining))
            blas::gemm(Op::none, Op::transpose, T(1), weights_operand(q).row(i), mean_t,
                       q == 0 ? T(0) : T(1), rows(right_, i, columns().weights, k));
    }
    const PointSink training{parameters_.part(q), result_.inputs.data()};
    const PointSink testing{{}, result_.test_inputs.data()};
    if (training.parameters.empty() && training.inputs == nullptr && testing.inputs == nullptr)
        return;
    blas::gemm(Op::none, Op::none, T(1), conditioning_.alpha().block(x.first, 0, x.count, k),
               mean_t, cotangents_.has_covariance() ? T(-2) : T(0), adjoint);
    problem_.kernel.accumulate_gradient(
        x, points_of_block, Pairing::cross, Region::full, adjoint,
        {training.parameters, training.of(x), testing.of(points_of_block)});
}

/// W·C̄, of tile row i and the points of block q.
template <class T>
void PullBack<T>::multiply_by_cotangent(index_t i, index_t q, MatrixView<T> out) const {
    const index_t g = cotangents_.group, first = blocks_.begin(q), end = blocks_.end(q);
    const index_t column = q % slots_ * blocks_.tile_size() - first;
    for (index_t group = first / g; group * g < end; ++group) {
        const index_t begin = std::max(first, group * g), last = std::min(end, (group + 1) * g);
        const auto cotangent = cotangents_.of_group(group);
        blas::gemm(Op::none, Op::none, T(1), rows(right_, i, column + group * g, g),
                   cotangent.block(0, begin - group * g, g, last - begin), T(0),
                   out.block(0, begin - first, out.rows, last - begin));
    }
}

/// Of the covariances of points of block p with those of block q, those within a group.
template <class T>
void PullBack<T>::contract_prior(index_t p, index_t q) {
    const index_t g = cotangents_.group, first = blocks_.begin(q), end = blocks_.end(q);
    const PointSink sink{parameters_.part(blocks_.tiles() + q), result_.test_inputs.data()};
    if (g == 1)
        return contract_variances(problem_, tile_points(test_.points, blocks_, q),
                                  cotangents_.covariance + first, sink);
    for (index_t group = first / g; group * g < end; ++group) {
        const index_t begin = group * g;
        const auto part_of = [&](index_t block) {
            const index_t from = std::max(blocks_.begin(block), begin);
            return test_.points.slice(
                from, std::max<index_t>(std::min(blocks_.end(block), begin + g) - from, 0));
        };
        const auto rows = part_of(p), columns = part_of(q);
        if (rows.count > 0)
            contract_covariances<T>(
                problem_, rows, columns,
                cotangents_.of_group(group).block(rows.first - begin, columns.first - begin,
                                                  rows.count, columns.count),
                sink);
    }
}

/// Completes tile row i of both factors; its derivatives by targets and noise.
template <class T>
void PullBack<T>::finish_row(index_t i) {
    const auto [weights, k] = columns();
    const auto b = rows(right_, i, weights, k);
    const index_t first = layout_.begin(i);
    if (wants(Derivatives::targets)) copy_rows<T>(b, result_.targets.data() + first * k);
    if (!wants(kOverFactor)) return;
    const auto alpha = conditioning_.alpha().block(first, 0, b.rows, k);
    copy_columns<T>(alpha, rows(right_, i, weights + k, k));
    copy_columns<T>(alpha, rows(left_, i, weights, k), T(-0.5));
    copy_columns<T>(b, rows(left_, i, weights + k, k), T(-0.5));
    if (!wants(Derivatives::noise)) return;
    double* const noise = result_.noise.data() + first;
    std::fill_n(noise, b.rows, 0.0);
    const auto left = rows(left_, i, 0, columns().count());
    const auto right = rows(right_, i, 0, columns().count());
    for (index_t j = 0; j < left.cols; ++j)
        for (index_t row = 0; row < left.rows; ++row)
            noise[row] += static_cast<double>(left(row, j)) * static_cast<double>(right(row, j));
}

/// Makes a tile of the adjoint at K and contracts it.
template <class T>
void PullBack<T>::contract_training(index_t i, index_t j, index_t part) {
    const index_t count = columns().count();
    const ThreadScratch<T> scratch(layout_.extent(i) * layout_.extent(j));
    const MatrixView<T> tile(scratch.data(), layout_.extent(i), layout_.extent(j));
    blas::gemm(Op::none, Op::transpose, factor_of_tile<T>(i, j), rows(left_, i, 0, count),
               rows(right_, j, 0, count), T(0), tile);
    contract_tile<T>({problem_, parameters_, nullptr, result_.inputs.data()}, tile, i, j, part);
}

#define GPRAT_INSTANTIATE(T)                                     \
    template void PullBack<T>::project_cotangent(index_t);       \
    template void PullBack<T>::multiply(index_t, index_t);       \
    template void PullBack<T>::contract_prior(index_t, index_t); \
    template void PullBack<T>::finish_row(index_t);              \
    template void PullBack<T>::contract_training(index_t, index_t, index_t);
GPRAT_INSTANTIATE(float)
GPRAT_INSTANTIATE(double)
#undef GPRAT_INSTANTIATE

}  // namespace gprat::gp
