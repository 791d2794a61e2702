#include "gprat/covariance/kernel.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "gprat/covariance/block_evaluator.hpp"
#include "gprat/error.hpp"

namespace gprat::covariance {

namespace {

/// Calls `visit(evaluator, i, j, rows, columns)` for every block that meets the region, (i, j)
/// being its first entry, with the evaluator set to its points.
template <class T, class Visit>
void for_each_block(const Plan<T>& plan, const Points<T>& rows, const Points<T>& columns,
                    Pairing pairing, Region region, Visit visit) {
    using Evaluator = BlockEvaluator<T>;
    Evaluator evaluator(plan);
    for (index_t i = 0; i < rows.count; i += Evaluator::kRows) {
        const auto block_rows = rows.slice(i, std::min(Evaluator::kRows, rows.count - i));
        evaluator.set_rows(block_rows);
        const index_t last_row = block_rows.first + block_rows.count - 1;
        for (index_t j = 0; j < columns.count; j += Evaluator::kColumns) {
            if (region == Region::lower && columns.first + j > last_row) break;
            const auto block_columns =
                columns.slice(j, std::min(Evaluator::kColumns, columns.count - j));
            evaluator.set_columns(block_columns, pairing);
            visit(evaluator, i, j, block_rows.count, block_columns.count);
        }
    }
}

/// k(x, x): distances are zero, so that every stationary leaf is 1.
template <class T>
double variance(const Plan<T>& plan, const T* point, std::vector<double>& values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
        const auto& node = plan.nodes[i];
        switch (node.opcode) {
            case Opcode::constant:
            case Opcode::white:
                values[i] = node.parameters[0];
                break;
            case Opcode::dot_product:
                values[i] = node.parameters[0] * node.parameters[0];
                for (index_t f = 0; f < plan.features; ++f)
                    values[i] += static_cast<double>(point[f]) * static_cast<double>(point[f]);
                break;
            case Opcode::sum:
                values[i] = values[node.left] + values[node.right];
                break;
            case Opcode::product:
                values[i] = values[node.left] * values[node.right];
                break;
            case Opcode::power:
                values[i] = std::pow(values[node.left], node.exponent);
                break;
            default:
                values[i] = 1.0;
        }
    }
    return values.back();
}

}  // namespace

template <class T>
void Kernel<T>::check(const Points<T>& points) const {
    if (points.dimension != plan_.features)
        throw InvalidArgument("the program is for points of " + std::to_string(plan_.features) +
                              " features, got " + std::to_string(points.dimension));
}

template <class T>
void Kernel<T>::evaluate(Points<T> rows, Points<T> columns, Pairing pairing, Region region,
                         MatrixView<T> k) const {
    check(rows);
    check(columns);
    for_each_block(plan_, rows, columns, pairing, region,
                   [&](auto& evaluator, index_t i, index_t j, index_t m, index_t n) {
                       evaluator.evaluate(k.block(i, j, m, n));
                   });
}

template <class T>
void Kernel<T>::diagonal(Points<T> points, T* out) const {
    check(points);
    std::vector<double> values(plan_.nodes.size());
    for (index_t i = 0; i < points.count; ++i)
        out[i] = static_cast<T>(variance(plan_, points.data + i * points.dimension, values));
}

template <class T>
void Kernel<T>::accumulate_gradient(Points<T> rows, Points<T> columns, Pairing pairing,
                                    Region region, MatrixView<const T> weights,
                                    const GradientSink<T>& sink) const {
    check(rows);
    check(columns);
    if (!plan_.root().is_free) return;
    for_each_block(plan_, rows, columns, pairing, region,
                   [&](auto& evaluator, index_t i, index_t j, index_t m, index_t n) {
                       evaluator.accumulate_gradient(weights.block(i, j, m, n), sink.parameters);
                   });
}

template class Kernel<double>;
template class Kernel<float>;

}  // namespace gprat::covariance
