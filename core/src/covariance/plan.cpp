#include "gprat/covariance/plan.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "gprat/error.hpp"

namespace gprat::covariance {

namespace {

bool is_leaf(Opcode opcode) {
    return operand_count(opcode) == 0;
}

bool is_stationary(Opcode opcode) {
    return opcode >= Opcode::rbf && opcode <= Opcode::exp_sine_squared;
}

bool reads_points(Opcode opcode) {
    return is_stationary(opcode) || opcode == Opcode::dot_product;
}

void check_value(double value, Opcode opcode) {
    const bool may_be_zero = !is_stationary(opcode);
    if (!std::isfinite(value) || value < 0.0 || (value == 0.0 && !may_be_zero))
        throw InvalidArgument("parameters must be finite and " +
                              std::string(may_be_zero ? "not negative" : "positive") + ", got " +
                              std::to_string(value));
}

/// The length by which a leaf divides the difference of feature `feature`.
template <class T>
double length(const Node<T>& node, index_t feature) {
    switch (node.opcode) {
        case Opcode::dot_product:
            return 1.0;
        case Opcode::rational_quadratic:
        case Opcode::exp_sine_squared:
            return node.parameters[1];
        default:
            return node.parameters[node.parameters.size() == 1 ? 0 : feature];
    }
}

template <class T>
Metric<T> make_metric(const Node<T>& node, index_t features) {
    // Whatever length scale a double can hold, powers, rests and squares of rests must be finite
    // numbers of type T, and points times small powers have finite squares.
    constexpr int largest_power = sizeof(T) == 8 ? 500 : 60;
    constexpr int smallest_power = sizeof(T) == 8 ? -1000 : -120;
    constexpr double largest_rest = sizeof(T) == 8 ? 1e150 : 1e18;
    Metric<T> metric;
    for (index_t f = 0; f < features; ++f) {
        const double l = length(node, f);
        const int power = std::clamp(-std::ilogb(l), smallest_power, largest_power);
        metric.power.push_back(static_cast<T>(std::ldexp(1.0, power)));
        const double rest = std::min(1.0 / l / std::ldexp(1.0, power), largest_rest);
        metric.rest.push_back(static_cast<T>(rest));
    }
    if (node.parameters.size() == 1 || !takes_length_scales(node.opcode)) metric.rest.resize(1);
    return metric;
}

template <class T>
Node<T> make_node(const Instruction& instruction, index_t features,
                  std::span<const double> parameters, std::span<const std::uint8_t> is_free) {
    Node<T> node;
    node.opcode = instruction.opcode;
    node.first_parameter = instruction.first_parameter;
    node.exponent = instruction.exponent;
    for (index_t i = 0; i < instruction.parameter_count; ++i) {
        const index_t p = instruction.first_parameter + i;
        check_value(parameters[p], node.opcode);
        node.parameters.push_back(parameters[p]);
        node.parameter_is_free.push_back(!is_free.empty() && is_free[p] != 0);
        node.is_free |= node.parameter_is_free.back();
    }
    if (reads_points(node.opcode)) node.metric = make_metric(node, features);
    return node;
}

}  // namespace

template <class T>
Plan<T>::Plan(const Program& program, std::span<const double> parameters,
              std::span<const std::uint8_t> is_free)
    : features(program.feature_count()) {
    const auto expected = static_cast<std::size_t>(program.parameter_count());
    if (parameters.size() != expected || (!is_free.empty() && is_free.size() != expected))
        throw InvalidArgument("the program has " + std::to_string(expected) + " parameters, got " +
                              std::to_string(parameters.size()) + " values and " +
                              std::to_string(is_free.size()) + " marks");
    for (const auto& instruction : program.instructions())
        nodes.push_back(make_node<T>(instruction, features, parameters, is_free));
    connect_operands();
    mark_needed();
    assign_slots();
}

template <class T>
void Plan<T>::connect_operands() {
    std::vector<index_t> stack;
    const auto pop = [&] {
        const index_t top = stack.back();
        stack.pop_back();
        return top;
    };
    for (index_t i = 0; i < static_cast<index_t>(nodes.size()); ++i) {
        auto& node = nodes[i];
        const index_t operands = operand_count(node.opcode);
        if (operands == 2) node.right = pop();
        if (operands >= 1) node.left = pop();
        for (const index_t operand : {node.left, node.right})
            if (operand >= 0 && nodes[operand].is_free) node.is_free = true;
        stack.push_back(i);
    }
}

/// The derivative of a product with respect to one factor is the other; stationary leaves take
/// theirs from their own value, powers from their operand's.
template <class T>
void Plan<T>::mark_needed() {
    for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) {
        if (is_leaf(node->opcode)) {
            node->is_needed |= node->is_free && is_stationary(node->opcode);
            continue;
        }
        auto& left = nodes[node->left];
        left.is_needed |= node->is_needed;
        if (node->opcode == Opcode::power) {
            left.is_needed |= node->is_free;
            continue;
        }
        auto& right = nodes[node->right];
        right.is_needed |= node->is_needed;
        if (node->opcode == Opcode::product) {
            left.is_needed |= right.is_free;
            right.is_needed |= left.is_free;
        }
    }
}

/// No block is used twice in a run, so values may be handed on instead of copied. Only scratch is
/// shared, by branches that are reversed one after the other.
template <class T>
void Plan<T>::assign_slots() {
    for (auto& node : nodes) {
        if (node.opcode != Opcode::constant) node.value_slot = slots++;
        if (is_stationary(node.opcode)) node.distance_slot = slots++;
        if (reads_points(node.opcode)) node.point_set = point_sets++;
    }
    weights_slot = slots++;
    nodes.back().scratch_slot = slots;
    for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) {
        const index_t below = node->scratch_slot + (node->opcode == Opcode::sum ? 0 : 1);
        for (const index_t operand : {node->left, node->right})
            if (operand >= 0) nodes[operand].scratch_slot = below;
        slots = std::max(slots, node->scratch_slot + 2);
    }
}

template struct Plan<double>;
template struct Plan<float>;

}  // namespace gprat::covariance
