#include "gprat/gp/pull_back.hpp"

#include <algorithm>

#include "gprat/gp/trend_adjoint.hpp"
#include "gprat/linalg/access_list.hpp"
#include "gprat/linalg/blas.hpp"
#include "gprat/linalg/copy.hpp"
#include "gprat/linalg/solve.hpp"
#include "gprat/linalg/work.hpp"

namespace gprat::gp {

namespace {

using blas::Op;

Buffer<double> zeros(index_t size) {
    Buffer<double> values(size);
    std::fill_n(values.data(), size, 0.0);
    return values;
}

}  // namespace

template <class T>
PullBack<T>::PullBack(const Problem<T>& problem, const Conditioning<T>& conditioning,
                      TestPoints<T> test, Cotangents<T> cotangents, Derivatives wanted,
                      const ColumnBuffer<T>* kept, tasks::TaskGraph& graph, index_t most_slots)
    : problem_(problem),
      conditioning_(conditioning),
      test_(test),
      cotangents_(cotangents),
      wanted_(wanted),
      kept_(kept),
      layout_(problem.layout()),
      blocks_(test.count(), columns_per_block(test.count(), graph.processors())),
      slots_(blocks_.tiles()),
      trend_(problem, cotangents.has_covariance() ? test.count() : problem.outputs()),
      parameters_(0, 0) {
    const index_t n = problem.size(), m = points(), d = problem.inputs.dimension;
    if (cotangents.group <= blocks_.tile_size()) {
        blocks_ = TileLayout(m, columns_in_groups(blocks_.tile_size(), cotangents.group));
        slots_ = blocks_.tiles();
        if (!wants(kOverFactor))
            slots_ = std::clamp<index_t>(slots_, 1, column_slots(graph, most_slots));
    }
    right_ = ColumnBuffer<T>(n, columns().count());
    if (wants(kOverFactor)) left_ = ColumnBuffer<T>(n, columns().count());
    mean_ = Buffer<T>(problem.trends() > 0 ? m * problem.outputs() : 0);
    const index_t tiles = layout_.tiles();
    if (wants(Derivatives::parameters))
        parameters_ = PartialGradients(2 * blocks_.tiles() + tiles * (tiles + 1) / 2,
                                       problem.kernel.parameter_count());
    if (wants(Derivatives::noise)) result_.noise = Buffer<double>(n);
    if (wants(Derivatives::targets)) result_.targets = Buffer<double>(n * problem.outputs());
    if (wants(Derivatives::inputs)) result_.inputs = zeros(n * d);
    if (wants(Derivatives::test_inputs)) result_.test_inputs = zeros(m * d);
    weights_ =
        graph.new_handles(slots_ * tiles, bytes_of<T>(layout_.tile_size(), blocks_.tile_size()));
    rows_ = graph.new_handles(tiles, bytes_of<T>(layout_.tile_size(), 2 * columns().count()));
    inputs_ = graph.new_handles(tiles);
    points_ = graph.new_handles(std::max<index_t>(blocks_.tiles(), 1));
}

template <class T>
void PullBack<T>::add(tasks::TaskGraph& graph, const ConditioningOperands<T>& operands) {
    // Where blocks cut a group, products need the weights of several.
    const bool whole = cotangents_.group <= blocks_.tile_size();
    if (!cotangents_.has_covariance() && wants(kOverTraining)) add_mean_weights(graph, operands);
    for (index_t q = 0; q < blocks_.tiles(); ++q) {
        if (cotangents_.has_covariance()) add_weights(graph, operands, q);
        if (whole) add_products(graph, operands, q);
    }
    for (index_t q = 0; !whole && q < blocks_.tiles(); ++q) add_products(graph, operands, q);
    for (index_t q = 0; q < blocks_.tiles(); ++q) add_prior(graph, q);
    if (wants(kOverTraining)) add_training(graph, operands);
}

template <class T>
void PullBack<T>::add_weights(tasks::TaskGraph& graph, const ConditioningOperands<T>& operands,
                              index_t q) {
    const auto rank = rank_after_conditioning(layout_) + q;
    const auto block = test_.tile(blocks_, q);
    const index_t first = blocks_.begin(q);
    const auto v = weights_operand(q);
    if (kept_ == nullptr) {
        add_whitening(graph, rank, problem_, operands, block, v, q);
    } else {
        for (index_t i = 0; i < layout_.tiles(); ++i)
            graph.add({"copy_rows", i, q}, rank, {}, {v.handle(i)}, [this, v, i, first] {
                copy_columns<T>(rows(*kept_, i, first, v.values.cols), v.row(i));
            });
    }
    if (problem_.trends() > 0)
        add_projection(graph, rank, conditioning_, operands, block, v, trend_, first, points_ + q,
                       q, mean_.data() + first * problem_.outputs());
    add_kriging_weights<T>(graph, rank, operands, v, trend_.g_at(first, block.count()),
                           points_ + q);
}

// B = W·m̄ without W: the weights of one point whose covariances are K*m̄, for each output.
template <class T>
void PullBack<T>::add_mean_weights(tasks::TaskGraph& graph,
                                   const ConditioningOperands<T>& operands) {
    const auto rank = rank_after_conditioning(layout_);
    const index_t k = problem_.outputs(), trends = problem_.trends();
    mean_ = Buffer<T>(trends > 0 ? k * k : 0);
    mean_basis_ = Buffer<T>(trends * k);
    const MatrixView<T> basis_t(mean_basis_.data(), trends, k);
    blas::gemm(Op::none, Op::transpose, T(1), test_.basis_t, cotangents_.mean_t, T(0), basis_t);
    const BlockOperand<T> b(right_.columns(columns().weights, k), layout_, rows_);
    for (index_t i = 0; i < layout_.tiles(); ++i)
        graph.add({"cross_covariance", i, 0, work::pairs(layout_.extent(i), points()),
                   tasks::Unit::pairs},
                  rank, {}, {b.handle(i)}, [this, i] { project_cotangent(i); });
    add_solve_lower(graph, rank, operands.factor, b);
    if (trends > 0)
        add_projection(graph, rank, conditioning_, operands,
                       TestPoints<T>{{nullptr, k, problem_.inputs.dimension, 0}, basis_t}, b,
                       trend_, 0, points_, 0, mean_.data());
    add_kriging_weights<T>(graph, rank, operands, b, trend_.g_at(0, k), points_);
}

template <class T>
TileRange PullBack<T>::blocks_of_groups(index_t q) const {
    const index_t g = cotangents_.group, side = blocks_.tile_size();
    const index_t begin = blocks_.begin(q) / g * g, end = (blocks_.end(q) + g - 1) / g * g;
    return {begin / side, (std::min(end, points()) + side - 1) / side};
}

template <class T>
void PullBack<T>::add_products(tasks::TaskGraph& graph, const ConditioningOperands<T>& operands,
                               index_t q) {
    constexpr auto contracted =
        Derivatives::parameters | Derivatives::inputs | Derivatives::test_inputs;
    if (!cotangents_.has_covariance() && !wants(contracted)) return;
    const auto rank = rank_after_conditioning(layout_) + q;
    const index_t count = blocks_.extent(q);
    for (index_t i = 0; i < layout_.tiles(); ++i) {
        AccessList reads, writes;
        reads.add(operands.weights.handle(i));
        if (wants(Derivatives::parameters | Derivatives::test_inputs)) writes.add(points_ + q);
        if (wants(Derivatives::inputs)) writes.add(inputs_ + i);
        if (cotangents_.has_covariance()) {
            const auto range = blocks_of_groups(q);
            for (index_t p = range.first; p < range.last; ++p)
                reads.add(weights_operand(p).handle(i));
            if (wants(kOverTraining)) writes.add(rows_ + i);
        }
        graph.add(
            {"cross_gradient", i, q, work::pairs(layout_.extent(i), count), tasks::Unit::pairs},
            rank, reads, writes, [this, i, q] { multiply(i, q); });
    }
}

template <class T>
void PullBack<T>::add_prior(tasks::TaskGraph& graph, index_t q) {
    if (!cotangents_.has_covariance() || !wants(Derivatives::parameters | Derivatives::test_inputs))
        return;
    const auto rank = rank_after_conditioning(layout_) + q;
    for (index_t p = q; p < blocks_of_groups(q).last; ++p) {
        AccessList writes;
        writes.add(points_ + q);
        if (p != q) writes.add(points_ + p);
        graph.add({"prior_gradient", p, q}, rank, AccessList(), writes,
                  [this, p, q] { contract_prior(p, q); });
    }
}

template <class T>
void PullBack<T>::add_training(tasks::TaskGraph& graph, const ConditioningOperands<T>& operands) {
    const auto rank = rank_after_conditioning(layout_) + blocks_.tiles();
    for (index_t i = 0; i < layout_.tiles(); ++i)
        graph.add({"finish_rows", i, 0}, rank, {operands.weights.handle(i)}, {rows_ + i},
                  [this, i] { finish_row(i); });
    if (!wants(Derivatives::parameters | Derivatives::inputs)) return;
    index_t part = 2 * blocks_.tiles();
    for (index_t i = 0; i < layout_.tiles(); ++i)
        for (index_t j = 0; j <= i; ++j, ++part) {
            AccessList writes;
            if (wants(Derivatives::inputs)) writes.add(inputs_ + i);
            if (wants(Derivatives::inputs) && i != j) writes.add(inputs_ + j);
            graph.add(
                {"contract", i, j, work::pairs_of_tile(i, j, layout_.extent(i), layout_.extent(j)),
                 tasks::Unit::pairs},
                rank, AccessList().add(rows_ + i).add(rows_ + j), writes,
                [this, i, j, part] { contract_training(i, j, part); });
        }
}

template <class T>
PosteriorAdjoint PullBack<T>::finish() {
    if (wants(Derivatives::parameters)) result_.parameters = parameters_.sum();
    differentiate_trend();
    return std::move(result_);
}

template <class T>
void PullBack<T>::differentiate_trend() {
    const index_t k = problem_.outputs(), m = points();
    const bool is_joint = cotangents_.has_covariance();
    const index_t solved = is_joint ? m : wants(kOverTraining) ? k : 0;
    const auto multipliers = trend::multipliers<T>(conditioning_, trend_.g_at(0, solved));
    const MatrixView<const T> n(multipliers.data(), problem_.trends(), solved);
    if (wants(Derivatives::inputs))
        result_.basis = trend::pull_back_basis<T>(conditioning_, cotangents_, n,
                                                  right_.columns(columns().weights, k),
                                                  left_.columns(0, is_joint ? m : 0));
    if (wants(Derivatives::test_inputs))
        result_.test_basis = trend::pull_back_test_basis<T>(conditioning_, cotangents_, n);
}

template class PullBack<float>;
template class PullBack<double>;

}  // namespace gprat::gp
