#include "gprat/covariance/kernel.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "gprat/covariance/block_evaluator.hpp"
#include "gprat/covariance/warp.hpp"
#include "gprat/error.hpp"

namespace gprat::covariance {

namespace {

/// Calls `visit(i, j, rows, columns)` for every block that meets the region, (i, j) being its first
/// entry, with the evaluator set to its points.
template <class T, class Visit>
void for_each_block(BlockEvaluator<T>& evaluator, const Points<T>& rows, const Points<T>& columns,
                    Region region, Visit visit) {
    using Evaluator = BlockEvaluator<T>;
    for (index_t i = 0; i < rows.count; i += Evaluator::kRows) {
        const index_t m = std::min(Evaluator::kRows, rows.count - i);
        evaluator.set_rows(i, m);
        const index_t last_row = rows.first + i + m - 1;
        for (index_t j = 0; j < columns.count; j += Evaluator::kColumns) {
            if (region == Region::lower && columns.first + j > last_row) break;
            const index_t n = std::min(Evaluator::kColumns, columns.count - j);
            evaluator.set_columns(j, n);
            visit(i, j, m, n);
        }
    }
}

/// k(x, x), with space for the coordinates and features of a leaf.
template <class T>
class Variance {
public:
    explicit Variance(const Plan<T>& plan)
        : plan_(plan),
          values_(plan.nodes.size()),
          features_(plan.features),
          coordinates_(plan.most_coordinates) {}

    double operator()(const T* point) {
        for (std::size_t i = 0; i < values_.size(); ++i) values_[i] = value(plan_.nodes[i], point);
        return values_.back();
    }

private:
    double value(const Node<T>& node, const T* point) {
        switch (node.opcode) {
            case Opcode::constant:
            case Opcode::white:
                return node.value(0);
            case Opcode::sum:
                return values_[node.left] + values_[node.right];
            case Opcode::product:
                return values_[node.left] * values_[node.right];
            case Opcode::power:
                return std::pow(values_[node.left], node.constant);
            case Opcode::angular:  // J_n(0)/π
                return node.constant == 2.0 ? 3.0 : 1.0;
            default:  // distances are zero
                return node.kind == LeafKind::dot_product ? squared_norm(node, point) : 1.0;
        }
    }

    double squared_norm(const Node<T>& node, const T* point) {
        for (std::size_t f = 0; f < node.features.size(); ++f)
            features_[f] = static_cast<double>(point[node.features[f]]);
        warp::map(node, features_.data(), coordinates_.data());
        double sum = node.opcode == Opcode::dot_product ? node.value(0) * node.value(0) : 0.0;
        for (index_t c = 0; c < node.coordinates; ++c) sum += coordinates_[c] * coordinates_[c];
        return sum;
    }

    const Plan<T>& plan_;
    std::vector<double> values_, features_, coordinates_;
};

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
    BlockEvaluator<T> evaluator(plan_, rows, columns, pairing);
    for_each_block(evaluator, rows, columns, region,
                   [&](index_t i, index_t j, index_t m, index_t n) {
                       evaluator.evaluate(k.block(i, j, m, n));
                   });
}

template <class T>
void Kernel<T>::diagonal(Points<T> points, T* out) const {
    check(points);
    Variance<T> variance(plan_);
    for (index_t i = 0; i < points.count; ++i)
        out[i] = static_cast<T>(variance(points.data + i * points.dimension));
}

template <class T>
void Kernel<T>::accumulate_gradient(Points<T> rows, Points<T> columns, Pairing pairing,
                                    Region region, MatrixView<const T> weights,
                                    const GradientSink<T>& sink) const {
    check(rows);
    check(columns);
    const bool wants_points = sink.rows || sink.columns;
    if (!plan_.root().is_active[wants_points ? 1 : 0]) return;
    BlockEvaluator<T> evaluator(plan_, rows, columns, pairing);
    evaluator.begin_gradient(sink);
    for_each_block(evaluator, rows, columns, region,
                   [&](index_t i, index_t j, index_t m, index_t n) {
                       evaluator.accumulate_gradient(weights.block(i, j, m, n));
                   });
    evaluator.finish_gradient();
}

template class Kernel<double>;
template class Kernel<float>;

}  // namespace gprat::covariance
