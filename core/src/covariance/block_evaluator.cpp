#include "gprat/covariance/block_evaluator.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <new>

#include "gprat/covariance/block_math.hpp"
#include "gprat/covariance/dispatch.hpp"
#include "gprat/covariance/stationary.hpp"
#include "gprat/covariance/vector_math.hpp"
#include "gprat/covariance/warp.hpp"

namespace gprat::covariance {

namespace {

struct FreeAligned {
    void operator()(void* memory) const { ::operator delete(memory, std::align_val_t{kAlignment}); }
};

/// Uninitialised memory for `count` numbers, which the thread keeps for the next call.
template <class T>
T* thread_memory(index_t count) {
    thread_local std::unique_ptr<void, FreeAligned> memory;
    thread_local index_t capacity = 0;
    if (count > capacity) {
        memory.reset();
        capacity = 0;
        memory.reset(::operator new(count * sizeof(T), std::align_val_t{kAlignment}));
        capacity = count;
    }
    return static_cast<T*>(memory.get());
}

template <class T>
index_t padded(index_t count) {
    return (count + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
}

}  // namespace

template <class T>
BlockEvaluator<T>::BlockEvaluator(const Plan<T>& plan, const Points<T>& rows,
                                  const Points<T>& columns, Pairing pairing)
    : plan_(plan),
      values_(plan.nodes.size()),
      sums_(plan.most_coordinates),
      column_sums_(kColumns * plan.most_coordinates),
      point_(plan.most_coordinates),
      features_(plan.features),
      by_features_(plan.features),
      row_set_{rows, 0, 0, {}, {}},
      column_set_{columns, 0, 0, {}, {}},
      pairing_(pairing) {
    const index_t blocks = plan.slots * kRows * kColumns;
    const index_t row_space = plan.coordinates * kRows;
    const index_t column_space = padded<T>(2 * plan.coordinates * kColumns);
    const index_t panel = kLanes<T> * plan.most_coordinates;
    slots_ =
        thread_memory<T>(blocks + row_space + column_space + panel + kRows * plan.most_coordinates);
    rows_ = slots_ + blocks;
    columns_ = rows_ + row_space;
    panel_ = columns_ + column_space;
    row_sums_ = panel_ + panel;
    map(row_set_);
    map(column_set_);
}

template <class T>
void BlockEvaluator<T>::read_features(const Node<T>& node, const Points<T>& points, index_t point) {
    for (std::size_t f = 0; f < node.features.size(); ++f)
        features_[f] =
            static_cast<double>(points.data[point * points.dimension + node.features[f]]);
}

template <class T>
void BlockEvaluator<T>::map(PointSet& set) {
    for (const auto& node : plan_.nodes) {
        const bool trivial = warp::is_trivial(node.opcode);
        if (node.kind == LeafKind::none || (trivial && node.reads_all)) continue;
        set.coordinates.resize(plan_.coordinates * set.points.count);
        T* out = set.coordinates.data() + node.coordinate_offset * set.points.count;
        for (index_t i = 0; i < set.points.count; ++i, out += node.coordinates) {
            read_features(node, set.points, i);
            warp::map(node, features_.data(), point_.data());
            for (index_t c = 0; c < node.coordinates; ++c) out[c] = static_cast<T>(point_[c]);
        }
    }
}

template <class T>
const T* BlockEvaluator<T>::coordinates(const Node<T>& node, const PointSet& set) const {
    if (warp::is_trivial(node.opcode) && node.reads_all)
        return set.points.data + set.begin * set.points.dimension;
    return set.coordinates.data() + node.coordinate_offset * set.points.count +
           set.begin * node.coordinates;
}

template <class T>
void BlockEvaluator<T>::set_rows(index_t begin, index_t count) {
    row_set_.begin = begin;
    row_set_.count = count;
    panels_ = padded<T>(count) / kLanes<T>;
    for (const auto& node : plan_.nodes)
        if (node.kind != LeafKind::none)
            pair_math::pack_rows(count, node.coordinates, coordinates(node, row_set_),
                                 node.metric.power.data(), packed_rows(node));
}

template <class T>
void BlockEvaluator<T>::set_columns(index_t begin, index_t count) {
    column_set_.begin = begin;
    column_set_.count = count;
    count_ = panels_ * kLanes<T> * count;
    same_offset_ = column_set_.points.first + begin - (row_set_.points.first + row_set_.begin);
    same_begin_ = std::max<index_t>(0, -same_offset_);
    same_end_ = std::min(count, row_set_.count - same_offset_);
    if (pairing_ == Pairing::cross) same_end_ = same_begin_;
    for (const auto& node : plan_.nodes) {
        if (node.kind == LeafKind::none) continue;
        pair_math::pack_columns(count, node.coordinates, coordinates(node, column_set_),
                                node.metric.power.data(), packed_columns(node));
        if (node.opcode == Opcode::angular)
            std::transform(packed_columns(node), packed_columns(node) + count * node.coordinates,
                           mirrored_columns(node), std::negate<>());
    }
}

template <class T>
void BlockEvaluator<T>::evaluate(MatrixView<T> k) {
    for (std::size_t i = 0; i < values_.size(); ++i) values_[i] = value(plan_.nodes[i]);
    const auto [block, scale] = values_.back();
    const auto factor = static_cast<T>(scale);
    const index_t stride = panels_ * kLanes<T>;
    for (index_t j = 0; j < k.cols; ++j) {
        if (!block) {
            std::fill_n(k.column(j), k.rows, factor);
            continue;
        }
        for (index_t i = 0; i < k.rows; ++i) k(i, j) = factor * block[j * stride + i];
    }
}

template <class T>
auto BlockEvaluator<T>::value(const Node<T>& node) -> Value {
    switch (node.opcode) {
        case Opcode::constant:
            return {nullptr, node.value(0)};
        case Opcode::white:
            return white(node);
        case Opcode::sum:
            return sum(values_[node.left], values_[node.right], slot(node.value_slot));
        case Opcode::product:
            return product(values_[node.left], values_[node.right], slot(node.value_slot));
        case Opcode::power:
            return power(values_[node.left], node.constant, slot(node.value_slot));
        default:
            return node.kind == LeafKind::dot_product ? dot_product(node) : distance_leaf(node);
    }
}

template <class T>
auto BlockEvaluator<T>::white(const Node<T>& node) -> Value {
    if (same_begin_ >= same_end_) return {nullptr, 0.0};
    T* out = slot(node.value_slot);
    std::fill_n(out, count_, T(0));
    for (index_t j = same_begin_; j < same_end_; ++j)
        out[j * panels_ * kLanes<T> + j + same_offset_] = T(1);
    return {out, node.value(0)};
}

template <class T>
auto BlockEvaluator<T>::dot_product(const Node<T>& node) -> Value {
    const double sigma = node.opcode == Opcode::dot_product ? node.value(0) : 0.0;
    T* out = slot(node.value_slot);
    pair_math::dot_products(shape(node), packed_rows(node), packed_columns(node),
                            static_cast<T>(sigma * sigma), out);
    return {out, 1.0};
}

template <class T>
void BlockEvaluator<T>::square_distances(const Node<T>& node, const T* columns, T* squares) {
    const auto& rest = node.metric.rest;
    if (node.metric.is_isotropic())
        pair_math::squared_distances(shape(node), packed_rows(node), columns, rest[0] * rest[0],
                                     squares);
    else
        pair_math::scaled_squared_distances(shape(node), packed_rows(node), columns, rest.data(),
                                            squares);
}

template <class T>
auto BlockEvaluator<T>::distance_leaf(const Node<T>& node) -> Value {
    T* distances = slot(node.distance_slot);
    T* out = slot(node.value_slot);
    square_distances(node, packed_columns(node), distances);
    if (node.opcode == Opcode::angular) square_distances(node, mirrored_columns(node), out);
    stationary::evaluate(node, count_, distances, out);
    return {out, 1.0};
}

template <class T>
auto BlockEvaluator<T>::sum(Value a, Value b, T* out) -> Value {
    if (!a.block) std::swap(a, b);
    if (!a.block) return {nullptr, a.scale + b.scale};
    if (b.block)
        block_math::combine(count_, static_cast<T>(a.scale), a.block, static_cast<T>(b.scale),
                            b.block, out);
    else if (b.scale == 0.0)
        return a;
    else
        block_math::scale_and_shift(count_, static_cast<T>(a.scale), a.block,
                                    static_cast<T>(b.scale), out);
    return {out, 1.0};
}

template <class T>
auto BlockEvaluator<T>::product(Value a, Value b, T* out) -> Value {
    const double scale = a.scale * b.scale;
    if (!a.block || !b.block) return {scale == 0.0 ? nullptr : a.block ? a.block : b.block, scale};
    block_math::multiply(count_, a.block, b.block, out);
    return {out, scale};
}

template <class T>
auto BlockEvaluator<T>::power(Value base, double exponent, T* out) -> Value {
    if (!base.block || exponent == 0.0) return {nullptr, std::pow(base.scale, exponent)};
    if (exponent == 1.0) return base;
    const auto scale = static_cast<T>(base.scale);
    if (exponent == 2.0)
        block_math::square(count_, scale, base.block, out);
    else if (exponent == 3.0)
        block_math::cube(count_, scale, base.block, out);
    else
        vector_math::power(count_, scale, base.block, static_cast<T>(exponent), out);
    return {out, 1.0};
}

/// base^(exponent − 1), bounded so that it may meet a derivative that has vanished with the base.
template <class T>
auto BlockEvaluator<T>::slope(Value base, double exponent, T* out) -> Value {
    const auto result = power(base, exponent - 1.0, out);
    if (exponent < 1.0 && result.block)
        block_math::scale_within(count_, T(1), out, pair_math::kHuge<T>, out);
    return result;
}

template <class T>
void BlockEvaluator<T>::begin_gradient(const GradientSink<T>& sink) {
    sink_ = sink;
    pass_ = sink.rows || sink.columns ? 1 : 0;
    const bool collects = std::any_of(plan_.nodes.begin(), plan_.nodes.end(),
                                      [&](const auto& node) { return wants_points(node); });
    for (auto* set : {&row_set_, &column_set_})
        set->adjoints.assign(collects ? plan_.coordinates * set->points.count : 0, 0.0);
}

template <class T>
void BlockEvaluator<T>::accumulate_gradient(MatrixView<const T> weights) {
    for (std::size_t i = 0; i < values_.size(); ++i)
        if (plan_.nodes[i].is_needed[pass_]) values_[i] = value(plan_.nodes[i]);
    T* adjoint = slot(plan_.weights_slot);
    const index_t stride = panels_ * kLanes<T>;
    for (index_t j = 0; j < weights.cols; ++j) {
        std::copy_n(weights.column(j), weights.rows, adjoint + j * stride);
        std::fill_n(adjoint + j * stride + weights.rows, stride - weights.rows, T(0));
    }
    reverse(plan_.root(), {adjoint, 1.0});
}

template <class T>
void BlockEvaluator<T>::reverse(const Node<T>& node, Value adjoint) {
    if (!node.is_active[pass_] || !adjoint.block || adjoint.scale == 0.0) return;
    T* scratch = slot(node.scratch_slot);
    switch (node.opcode) {
        case Opcode::constant:
            return add_derivative(
                node, 0, 0, adjoint.scale * node.value(0) * block_math::sum(count_, adjoint.block));
        case Opcode::white:
            return add_derivative(node, 0, 0,
                                  adjoint.scale * node.value(0) * sum_where_same(adjoint.block));
        case Opcode::sum:
            reverse(plan_.nodes[node.left], adjoint);
            return reverse(plan_.nodes[node.right], adjoint);
        case Opcode::product:
            if (plan_.nodes[node.left].is_active[pass_])
                reverse(plan_.nodes[node.left], product(adjoint, values_[node.right], scratch));
            if (plan_.nodes[node.right].is_active[pass_])
                reverse(plan_.nodes[node.right], product(adjoint, values_[node.left], scratch));
            return;
        case Opcode::power:
            adjoint.scale *= node.constant;
            return reverse(
                plan_.nodes[node.left],
                product(adjoint, slope(values_[node.left], node.constant, scratch), scratch));
        case Opcode::dot_product:
            if (wants(node, 0))
                add_derivative(node, 0, 0,
                               adjoint.scale * 2.0 * node.value(0) * node.value(0) *
                                   block_math::sum(count_, adjoint.block));
            break;
        default:
            break;
    }
    if (node.kind == LeafKind::distance) return reverse_distance(node, adjoint);
    reverse_points(node, pair_math::PairTerm::other, adjoint.scale, adjoint.block);
}

template <class T>
void BlockEvaluator<T>::reverse_distance(const Node<T>& node, Value adjoint) {
    if (node.opcode == Opcode::exp_sine_squared) reverse_exp_sine_squared(node, adjoint);
    const bool wants_scales = node.opcode == Opcode::rational_quadratic
                                  ? wants(node, 0) || wants(node, 1)
                              : node.opcode == Opcode::exp_sine_squared ? false
                                                                        : wants(node, 0);
    if (pass_ == 0 && !wants_scales && warp::is_trivial(node.opcode)) return;
    T* weights = slot(node.scratch_slot);
    const T* distances = slot(node.distance_slot);
    const T* values = slot(node.value_slot);
    stationary::weigh_squares(node, count_, distances, values, adjoint.block, weights);
    if (node.opcode == Opcode::rational_quadratic) {
        if (wants(node, 0))
            add_derivative(node, 0, 0,
                           adjoint.scale * stationary::shape_derivative(
                                               node, count_, distances, values, adjoint.block,
                                               weights, slot(node.scratch_slot + 1)));
        if (wants(node, 1)) reverse_length_scales(node, 1, adjoint.scale, weights);
    } else if (wants_scales && node.opcode != Opcode::angular) {
        reverse_length_scales(node, 0, adjoint.scale, weights);
    }
    reverse_points(node, pair_math::PairTerm::difference, adjoint.scale, weights);
}

template <class T>
void BlockEvaluator<T>::reverse_length_scales(const Node<T>& node, index_t parameter, double scale,
                                              const T* weights) {
    const auto& rest = node.metric.rest;
    if (node.metric.is_isotropic())
        return add_derivative(node, parameter, 0,
                              scale * stationary::sum_weighted_squares(node, count_, weights,
                                                                       slot(node.distance_slot)));
    pair_math::weighted_squares(shape(node), packed_rows(node), packed_columns(node), weights,
                                panel_, sums_.data());
    const index_t coordinates_a_feature = node.opcode == Opcode::periodic ? 2 : 1;
    for (index_t c = 0; c < node.coordinates; ++c) {
        const auto factor = static_cast<double>(rest[c]);
        add_derivative(node, parameter, c / coordinates_a_feature,
                       scale * factor * factor * sums_[c]);
    }
}

template <class T>
void BlockEvaluator<T>::reverse_exp_sine_squared(const Node<T>& node, Value adjoint) {
    if (!wants(node, 0) && !wants(node, 1)) return;
    T* weighted = slot(node.scratch_slot);
    T* scratch = slot(node.scratch_slot + 1);
    const T* distances = slot(node.distance_slot);
    block_math::multiply(count_, adjoint.block, slot(node.value_slot), weighted);
    if (wants(node, 0))
        add_derivative(node, 0, 0,
                       adjoint.scale * stationary::periodic_length_scale_derivative(
                                           node, count_, distances, weighted, scratch));
    if (wants(node, 1))
        add_derivative(node, 1, 0,
                       adjoint.scale * stationary::periodicity_derivative(node, count_, distances,
                                                                          weighted, scratch));
}

template <class T>
void BlockEvaluator<T>::reverse_points(const Node<T>& node, pair_math::PairTerm term, double scale,
                                       const T* weights) {
    if (!wants_points(node)) return;
    pair_math::point_sums(shape(node), term, packed_rows(node), packed_columns(node), weights,
                          row_sums_, column_sums_.data());
    const auto factor = [&](index_t c) {
        if (term == pair_math::PairTerm::other) return scale;
        const auto& metric = node.metric;
        const auto rest = static_cast<double>(metric.rest[metric.is_isotropic() ? 0 : c]);
        return -scale * rest * (rest * static_cast<double>(metric.power[c]));
    };
    const auto adjoints = [&](PointSet& set) {
        return set.adjoints.data() + node.coordinate_offset * set.points.count +
               set.begin * node.coordinates;
    };
    double* const by_rows = adjoints(row_set_);
    double* const by_columns = adjoints(column_set_);
    for (index_t c = 0; c < node.coordinates; ++c) {
        const double f = factor(c);
        for (index_t i = 0; i < row_set_.count; ++i) {
            const T* panel = row_sums_ + (i / kLanes<T> * node.coordinates + c) * kLanes<T>;
            by_rows[i * node.coordinates + c] += f * static_cast<double>(panel[i % kLanes<T>]);
        }
        for (index_t j = 0; j < column_set_.count; ++j)
            by_columns[j * node.coordinates + c] += f * column_sums_[j * node.coordinates + c];
    }
}

template <class T>
void BlockEvaluator<T>::finish_gradient() {
    for (const auto& node : plan_.nodes) {
        if (!wants_points(node)) continue;
        finish_gradient(node, row_set_, sink_.rows);
        finish_gradient(node, column_set_, sink_.columns);
    }
}

template <class T>
void BlockEvaluator<T>::finish_gradient(const Node<T>& node, const PointSet& set, double* sink) {
    const double* adjoint = set.adjoints.data() + node.coordinate_offset * set.points.count;
    for (index_t i = 0; i < set.points.count; ++i, adjoint += node.coordinates) {
        read_features(node, set.points, i);
        std::fill(by_features_.begin(), by_features_.end(), 0.0);
        warp::reverse(node, features_.data(), adjoint, sink_.parameters, by_features_.data());
        if (!sink) continue;
        for (std::size_t f = 0; f < node.features.size(); ++f)
            sink[i * set.points.dimension + node.features[f]] += by_features_[f];
    }
}

template <class T>
bool BlockEvaluator<T>::wants_points(const Node<T>& node) const {
    if (node.kind == LeafKind::none) return false;
    if (pass_ == 1) return true;
    if (warp::is_trivial(node.opcode)) return false;
    // Length scales of a periodic leaf are no part of its map.
    for (std::size_t p = node.opcode == Opcode::periodic ? 1 : 0; p < node.parameters.size(); ++p)
        if (wants(node, static_cast<index_t>(p))) return true;
    return false;
}

template <class T>
bool BlockEvaluator<T>::wants(const Node<T>& node, index_t parameter) const {
    return !sink_.parameters.empty() && node.parameters[parameter].any_free();
}

template <class T>
double BlockEvaluator<T>::sum_where_same(const T* block) const {
    double sum = 0.0;
    for (index_t j = same_begin_; j < same_end_; ++j)
        sum += static_cast<double>(block[j * panels_ * kLanes<T> + j + same_offset_]);
    return sum;
}

template <class T>
void BlockEvaluator<T>::add_derivative(const Node<T>& node, index_t parameter, index_t i,
                                       double value) {
    const auto& p = node.parameters[parameter];
    const index_t index = p.values.size() == 1 ? 0 : i;
    if (!sink_.parameters.empty() && p.is_free[index])
        sink_.parameters[p.first + index] += node.sign * value;
}

template class BlockEvaluator<double>;
template class BlockEvaluator<float>;

}  // namespace gprat::covariance
