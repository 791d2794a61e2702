#include "gprat/covariance/plan.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "gprat/covariance/warp.hpp"
#include "gprat/error.hpp"

namespace gprat::covariance {

namespace {

LeafKind leaf_kind(Opcode opcode) {
    switch (opcode) {
        case Opcode::dot_product:
        case Opcode::linear:
        case Opcode::cosine:
        case Opcode::sigmoid:
        case Opcode::norm:
            return LeafKind::dot_product;
        case Opcode::constant:
        case Opcode::white:
        case Opcode::sum:
        case Opcode::product:
        case Opcode::power:
            return LeafKind::none;
        default:
            return LeafKind::distance;
    }
}

void check_value(double value, const ParameterKind& kind) {
    const bool good = std::isfinite(value) &&
                      (value > 0.0 || (value == 0.0 && kind.may_be_zero) || kind.may_be_negative);
    if (good) return;
    const char* const rule = kind.may_be_zero ? "not negative" : "positive";
    throw InvalidArgument("parameters must be finite and " + std::string(rule) + ", got " +
                          std::to_string(value));
}

/// The length by which a leaf divides the difference of a coordinate.
template <class T>
double length(const Node<T>& node, index_t coordinate) {
    switch (node.opcode) {
        case Opcode::rational_quadratic:
        case Opcode::exp_sine_squared:
            return node.value(1, coordinate);
        case Opcode::periodic:  // two coordinates a feature
            return node.value(0, coordinate / 2);
        case Opcode::angular:
            return 1.0;
        default:
            return node.kind == LeafKind::distance ? node.value(0, coordinate) : 1.0;
    }
}

template <class T>
bool is_isotropic(const Node<T>& node) {
    if (node.kind != LeafKind::distance || node.opcode == Opcode::angular) return true;
    const bool second = node.opcode == Opcode::rational_quadratic;
    return node.parameters[second ? 1 : 0].values.size() == 1;
}

template <class T>
Metric<T> make_metric(const Node<T>& node) {
    // Whatever length scale a double can hold, powers, rests and squares of rests must be finite
    // numbers of type T, and points times small powers have finite squares.
    constexpr int largest_power = sizeof(T) == 8 ? 500 : 60;
    constexpr int smallest_power = sizeof(T) == 8 ? -1000 : -120;
    constexpr double largest_rest = sizeof(T) == 8 ? 1e150 : 1e18;
    Metric<T> metric;
    for (index_t c = 0; c < node.coordinates; ++c) {
        const double l = length(node, c);
        const int power = std::clamp(-std::ilogb(l), smallest_power, largest_power);
        metric.power.push_back(static_cast<T>(std::ldexp(1.0, power)));
        const double rest = std::min(1.0 / l / std::ldexp(1.0, power), largest_rest);
        metric.rest.push_back(static_cast<T>(rest));
    }
    if (is_isotropic(node)) metric.rest.resize(1);
    return metric;
}

Hyperparameter make_hyperparameter(const ParameterRange& range, const ParameterKind& kind,
                                   double reciprocal, std::span<const double> parameters,
                                   std::span<const std::uint8_t> is_free) {
    Hyperparameter result{range.first, {}, {}};
    for (index_t p = range.first; p < range.first + range.count; ++p) {
        check_value(parameters[p], kind);
        result.values.push_back(reciprocal == 0.0 ? parameters[p] : reciprocal / parameters[p]);
        result.is_free.push_back(!is_free.empty() && is_free[p] != 0);
    }
    return result;
}

template <class T>
Node<T> make_node(const Instruction& instruction, index_t features,
                  std::span<const double> parameters, std::span<const std::uint8_t> is_free) {
    Node<T> node;
    node.opcode = instruction.opcode;
    node.constant = instruction.constant;
    node.sign = instruction.reciprocal == 0.0 ? 1.0 : -1.0;
    const auto& kinds = parameter_kinds(node.opcode);
    for (std::size_t i = 0; i < kinds.size(); ++i)
        node.parameters.push_back(make_hyperparameter(instruction.parameters[i], kinds[i],
                                                      instruction.reciprocal, parameters, is_free));
    node.kind = leaf_kind(node.opcode);
    if (node.kind == LeafKind::none) return node;
    node.features = instruction.features;
    node.reads_all = node.features.empty();
    if (node.reads_all) {
        node.features.resize(features);
        std::iota(node.features.begin(), node.features.end(), 0);
    }
    node.coordinates =
        warp::coordinate_count(node.opcode, static_cast<index_t>(node.features.size()));
    node.metric = make_metric(node);
    if (node.opcode == Opcode::matern) node.table = MaternTable::get(node.constant);
    return node;
}

}  // namespace

bool Hyperparameter::any_free() const {
    return std::find(is_free.begin(), is_free.end(), true) != is_free.end();
}

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
    mark_active();
    for (const index_t pass : {0, 1}) mark_needed(pass);
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
        stack.push_back(i);
    }
}

template <class T>
void Plan<T>::mark_active() {
    for (auto& node : nodes) {
        for (const auto& parameter : node.parameters) node.is_active[0] |= parameter.any_free();
        node.is_active[1] = node.is_active[0] || node.kind != LeafKind::none;
        for (const index_t operand : {node.left, node.right})
            if (operand >= 0)
                for (const index_t pass : {0, 1})
                    node.is_active[pass] |= nodes[operand].is_active[pass];
    }
}

/// The derivative of a product with respect to one factor is the other; functions of a distance
/// take theirs from their own value, powers from their operand's.
template <class T>
void Plan<T>::mark_needed(index_t pass) {
    for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) {
        if (operand_count(node->opcode) == 0) {
            node->is_needed[pass] |= node->is_active[pass] && node->kind == LeafKind::distance;
            continue;
        }
        auto& left = nodes[node->left];
        left.is_needed[pass] |= node->is_needed[pass];
        if (node->opcode == Opcode::power) {
            left.is_needed[pass] |= node->is_active[pass];
            continue;
        }
        auto& right = nodes[node->right];
        right.is_needed[pass] |= node->is_needed[pass];
        if (node->opcode == Opcode::product) {
            left.is_needed[pass] |= right.is_active[pass];
            right.is_needed[pass] |= left.is_active[pass];
        }
    }
}

/// No block is used twice in a run, so values may be handed on instead of copied. Only scratch is
/// shared, by branches that are reversed one after the other.
template <class T>
void Plan<T>::assign_slots() {
    for (auto& node : nodes) {
        if (node.opcode != Opcode::constant) node.value_slot = slots++;
        if (node.kind == LeafKind::distance) node.distance_slot = slots++;
        node.coordinate_offset = coordinates;
        coordinates += node.coordinates;
        most_coordinates = std::max(most_coordinates, node.coordinates);
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
