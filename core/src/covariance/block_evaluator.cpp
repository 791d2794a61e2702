#include "gprat/covariance/block_evaluator.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <new>

#include "gprat/covariance/block_math.hpp"
#include "gprat/covariance/dispatch.hpp"
#include "gprat/covariance/stationary.hpp"
#include "gprat/covariance/vector_math.hpp"

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
BlockEvaluator<T>::BlockEvaluator(const Plan<T>& plan)
    : plan_(plan), values_(plan.nodes.size()), sums_(plan.features) {
    const index_t blocks = plan.slots * kRows * kColumns;
    const index_t rows = plan.point_sets * kRows * plan.features;
    const index_t columns = plan.point_sets * kColumns * plan.features;
    slots_ = thread_memory<T>(blocks + rows + padded<T>(columns) + kLanes<T> * plan.features);
    rows_ = slots_ + blocks;
    columns_ = rows_ + rows;
    panel_ = columns_ + padded<T>(columns);
}

template <class T>
void BlockEvaluator<T>::set_rows(const Points<T>& rows) {
    row_count_ = rows.count;
    first_row_ = rows.first;
    shape_ = {padded<T>(rows.count) / kLanes<T>, 0, plan_.features};
    for (const auto& node : plan_.nodes)
        if (node.point_set >= 0)
            pair_math::pack_rows(rows.count, plan_.features, rows.data, node.metric.power.data(),
                                 packed_rows(node));
}

template <class T>
void BlockEvaluator<T>::set_columns(const Points<T>& columns, Pairing pairing) {
    shape_.columns = columns.count;
    count_ = shape_.panels * kLanes<T> * columns.count;
    same_offset_ = columns.first - first_row_;
    same_begin_ = std::max<index_t>(0, -same_offset_);
    same_end_ = std::min(columns.count, row_count_ - same_offset_);
    if (pairing == Pairing::cross) same_end_ = same_begin_;
    for (const auto& node : plan_.nodes)
        if (node.point_set >= 0)
            pair_math::pack_columns(columns.count, plan_.features, columns.data,
                                    node.metric.power.data(), packed_columns(node));
}

template <class T>
void BlockEvaluator<T>::evaluate(MatrixView<T> k) {
    for (std::size_t i = 0; i < values_.size(); ++i) values_[i] = value(plan_.nodes[i]);
    const auto [block, scale] = values_.back();
    const auto factor = static_cast<T>(scale);
    const index_t stride = shape_.panels * kLanes<T>;
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
            return {nullptr, node.parameters[0]};
        case Opcode::white:
            return white(node);
        case Opcode::dot_product:
            return dot_product(node);
        case Opcode::sum:
            return sum(values_[node.left], values_[node.right], slot(node.value_slot));
        case Opcode::product:
            return product(values_[node.left], values_[node.right], slot(node.value_slot));
        case Opcode::power:
            return power(values_[node.left], node.exponent, slot(node.value_slot));
        default:
            return stationary_leaf(node);
    }
}

template <class T>
auto BlockEvaluator<T>::white(const Node<T>& node) -> Value {
    if (same_begin_ >= same_end_) return {nullptr, 0.0};
    T* out = slot(node.value_slot);
    std::fill_n(out, count_, T(0));
    for (index_t j = same_begin_; j < same_end_; ++j)
        out[j * shape_.panels * kLanes<T> + j + same_offset_] = T(1);
    return {out, node.parameters[0]};
}

template <class T>
auto BlockEvaluator<T>::dot_product(const Node<T>& node) -> Value {
    const double sigma = node.parameters[0];
    T* out = slot(node.value_slot);
    pair_math::dot_products(shape_, packed_rows(node), packed_columns(node),
                            static_cast<T>(sigma * sigma), out);
    return {out, 1.0};
}

template <class T>
auto BlockEvaluator<T>::stationary_leaf(const Node<T>& node) -> Value {
    T* distances = slot(node.distance_slot);
    const auto& rest = node.metric.rest;
    if (node.metric.is_isotropic())
        pair_math::squared_distances(shape_, packed_rows(node), packed_columns(node),
                                     rest[0] * rest[0], distances);
    else
        pair_math::scaled_squared_distances(shape_, packed_rows(node), packed_columns(node),
                                            rest.data(), distances);
    T* out = slot(node.value_slot);
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
void BlockEvaluator<T>::accumulate_gradient(MatrixView<const T> weights,
                                            std::span<double> gradient) {
    for (std::size_t i = 0; i < values_.size(); ++i)
        if (plan_.nodes[i].is_needed) values_[i] = value(plan_.nodes[i]);
    T* adjoint = slot(plan_.weights_slot);
    const index_t stride = shape_.panels * kLanes<T>;
    for (index_t j = 0; j < weights.cols; ++j) {
        std::copy_n(weights.column(j), weights.rows, adjoint + j * stride);
        std::fill_n(adjoint + j * stride + weights.rows, stride - weights.rows, T(0));
    }
    gradient_ = gradient;
    reverse(plan_.root(), {adjoint, 1.0});
}

template <class T>
void BlockEvaluator<T>::reverse(const Node<T>& node, Value adjoint) {
    if (!node.is_free || !adjoint.block || adjoint.scale == 0.0) return;
    T* scratch = slot(node.scratch_slot);
    switch (node.opcode) {
        case Opcode::constant:
            return add_derivative(
                node, 0,
                adjoint.scale * node.parameters[0] * block_math::sum(count_, adjoint.block));
        case Opcode::white:
            return add_derivative(
                node, 0, adjoint.scale * node.parameters[0] * sum_where_same(adjoint.block));
        case Opcode::dot_product:
            return add_derivative(node, 0,
                                  adjoint.scale * 2.0 * node.parameters[0] * node.parameters[0] *
                                      block_math::sum(count_, adjoint.block));
        case Opcode::sum:
            reverse(plan_.nodes[node.left], adjoint);
            return reverse(plan_.nodes[node.right], adjoint);
        case Opcode::product:
            if (plan_.nodes[node.left].is_free)
                reverse(plan_.nodes[node.left], product(adjoint, values_[node.right], scratch));
            if (plan_.nodes[node.right].is_free)
                reverse(plan_.nodes[node.right], product(adjoint, values_[node.left], scratch));
            return;
        case Opcode::power:
            adjoint.scale *= node.exponent;
            return reverse(
                plan_.nodes[node.left],
                product(adjoint, slope(values_[node.left], node.exponent, scratch), scratch));
        case Opcode::rational_quadratic:
            return reverse_rational_quadratic(node, adjoint);
        case Opcode::exp_sine_squared:
            return reverse_exp_sine_squared(node, adjoint);
        default:
            return reverse_length_scales(node, adjoint);
    }
}

template <class T>
void BlockEvaluator<T>::reverse_length_scales(const Node<T>& node, Value adjoint) {
    T* weights = slot(node.scratch_slot);
    const T* distances = slot(node.distance_slot);
    stationary::weigh_squares(node, count_, distances, slot(node.value_slot), adjoint.block,
                              weights);
    const auto& rest = node.metric.rest;
    if (node.metric.is_isotropic())
        return add_derivative(
            node, 0,
            adjoint.scale * stationary::sum_weighted_squares(node, count_, weights, distances));
    pair_math::weighted_squares(shape_, packed_rows(node), packed_columns(node), weights, panel_,
                                sums_.data());
    for (index_t f = 0; f < plan_.features; ++f) {
        const auto factor = static_cast<double>(rest[f]);
        add_derivative(node, f, adjoint.scale * factor * factor * sums_[f]);
    }
}

template <class T>
void BlockEvaluator<T>::reverse_rational_quadratic(const Node<T>& node, Value adjoint) {
    T* weights = slot(node.scratch_slot);
    const T* distances = slot(node.distance_slot);
    const T* values = slot(node.value_slot);
    stationary::weigh_squares(node, count_, distances, values, adjoint.block, weights);
    if (node.parameter_is_free[0])
        add_derivative(node, 0,
                       adjoint.scale * stationary::shape_derivative(node, count_, distances, values,
                                                                    adjoint.block, weights,
                                                                    slot(node.scratch_slot + 1)));
    if (node.parameter_is_free[1])
        add_derivative(
            node, 1,
            adjoint.scale * stationary::sum_weighted_squares(node, count_, weights, distances));
}

template <class T>
void BlockEvaluator<T>::reverse_exp_sine_squared(const Node<T>& node, Value adjoint) {
    T* weighted = slot(node.scratch_slot);
    T* scratch = slot(node.scratch_slot + 1);
    const T* distances = slot(node.distance_slot);
    block_math::multiply(count_, adjoint.block, slot(node.value_slot), weighted);
    if (node.parameter_is_free[0])
        add_derivative(node, 0,
                       adjoint.scale * stationary::periodic_length_scale_derivative(
                                           node, count_, distances, weighted, scratch));
    if (node.parameter_is_free[1])
        add_derivative(node, 1,
                       adjoint.scale * stationary::periodicity_derivative(node, count_, distances,
                                                                          weighted, scratch));
}

template <class T>
double BlockEvaluator<T>::sum_where_same(const T* block) const {
    double sum = 0.0;
    for (index_t j = same_begin_; j < same_end_; ++j)
        sum += static_cast<double>(block[j * shape_.panels * kLanes<T> + j + same_offset_]);
    return sum;
}

template <class T>
void BlockEvaluator<T>::add_derivative(const Node<T>& node, index_t parameter, double value) {
    if (node.parameter_is_free[parameter]) gradient_[node.first_parameter + parameter] += value;
}

template class BlockEvaluator<double>;
template class BlockEvaluator<float>;

}  // namespace gprat::covariance
