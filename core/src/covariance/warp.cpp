#include "gprat/covariance/warp.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace gprat::covariance::warp {

namespace {

constexpr double kTwoPi = 2.0 * std::numbers::pi;

/// 2πx/period, in [−π, π]: the remainder is exact, however large x is.
double angle(double x, double period) {
    return kTwoPi * (std::remainder(x, period) / period);
}

/// A quotient that may meet a factor of 0.
double bounded(double x) {
    constexpr double largest = 1e250;
    return std::clamp(x, -largest, largest);
}

/// Adds derivatives of one hyperparameter: by the logarithm, unless it may be negative.
template <class T>
void add(const Node<T>& node, index_t parameter, index_t i, double derivative,
         std::span<double> gradient) {
    const auto& p = node.parameters[parameter];
    const std::size_t index = p.values.size() == 1 ? 0 : static_cast<std::size_t>(i);
    if (gradient.empty() || !p.is_free[index]) return;
    gradient[p.first + static_cast<index_t>(index)] += node.sign * derivative;
}

double logistic(double x) {
    // exp of what is not positive never overflows.
    const double e = std::exp(-std::abs(x));
    return x >= 0.0 ? 1.0 / (1.0 + e) : e / (1.0 + e);
}

template <class T>
double sigmoid_argument(const Node<T>& node, double x) {
    return bounded(node.constant * (x - node.value(0)) / node.value(1));
}

template <class T>
double phase(const Node<T>& node, const double* features) {
    double sum = 0.0;
    for (std::size_t f = 0; f < node.features.size(); ++f)
        sum += angle(features[f], node.value(0, static_cast<index_t>(f)));
    return sum;
}

/// ‖x̃‖², x̃ = (√w x, √b)
template <class T>
double squared_norm(const Node<T>& node, const double* features) {
    double sum = node.value(1);
    for (std::size_t f = 0; f < node.features.size(); ++f)
        sum += node.value(0, static_cast<index_t>(f)) * features[f] * features[f];
    return sum;
}

template <class T>
void map_angular(const Node<T>& node, const double* features, double* coordinates) {
    const auto count = static_cast<index_t>(node.features.size());
    const double norm = std::sqrt(squared_norm(node, features));
    // A point without direction is at right angles to all others.
    const bool has_direction = norm > 0.0;
    const double inverse = has_direction ? 1.0 / norm : 0.0;
    for (index_t f = 0; f < count; ++f)
        coordinates[f] = std::sqrt(node.value(0, f)) * features[f] * inverse;
    coordinates[count] = std::sqrt(node.value(1)) * inverse;
    coordinates[count + 1] = has_direction ? 0.0 : 1.0;
}

/// û = x̃/‖x̃‖: the adjoint at x̃ is (a − û(û·a))/‖x̃‖.
template <class T>
void reverse_angular(const Node<T>& node, const double* features, const double* adjoint,
                     std::span<double> parameters, double* by_features) {
    const auto count = static_cast<index_t>(node.features.size());
    const double squares = squared_norm(node, features);
    if (!(squares > 0.0)) return;
    const double inverse = 1.0 / std::sqrt(squares), bias = std::sqrt(node.value(1));
    double along = adjoint[count] * bias * inverse;
    for (index_t f = 0; f < count; ++f)
        along += adjoint[f] * std::sqrt(node.value(0, f)) * features[f] * inverse;
    for (index_t f = 0; f < count; ++f) {
        const double root = std::sqrt(node.value(0, f));
        const double tangential = (adjoint[f] - along * root * features[f] * inverse) * inverse;
        add(node, 0, f, 0.5 * tangential * root * features[f], parameters);
        by_features[f] += tangential * root;
    }
    const double tangential = (adjoint[count] - along * bias * inverse) * inverse;
    add(node, 1, 0, 0.5 * tangential * bias, parameters);
}

/// ‖x̃‖ⁿ: its derivative by ‖x̃‖² is n/2·‖x̃‖ⁿ⁻².
template <class T>
void reverse_norm(const Node<T>& node, const double* features, double adjoint,
                  std::span<double> parameters, double* by_features) {
    const double squares = squared_norm(node, features);
    if (node.constant == 0.0 || !(squares > 0.0)) return;
    const double slope =
        adjoint * 0.5 * node.constant * (node.constant == 2.0 ? 1.0 : 1.0 / std::sqrt(squares));
    for (std::size_t i = 0; i < node.features.size(); ++i) {
        const auto f = static_cast<index_t>(i);
        const double w = node.value(0, f);
        add(node, 0, f, slope * w * features[f] * features[f], parameters);
        by_features[f] += slope * 2.0 * w * features[f];
    }
    add(node, 1, 0, slope * node.value(1), parameters);
}

}  // namespace

bool is_trivial(Opcode opcode) {
    switch (opcode) {
        case Opcode::periodic:
        case Opcode::linear:
        case Opcode::cosine:
        case Opcode::sigmoid:
        case Opcode::angular:
        case Opcode::norm:
            return false;
        default:
            return true;
    }
}

index_t coordinate_count(Opcode opcode, index_t features) {
    switch (opcode) {
        case Opcode::periodic:
            return 2 * features;
        case Opcode::cosine:
            return 2;
        case Opcode::sigmoid:
        case Opcode::norm:
            return 1;
        case Opcode::angular:
            return features + 2;
        default:
            return features;
    }
}

template <class T>
void map(const Node<T>& node, const double* features, double* coordinates) {
    const auto count = static_cast<index_t>(node.features.size());
    switch (node.opcode) {
        case Opcode::periodic:
            for (index_t f = 0; f < count; ++f) {
                const double t = angle(features[f], node.value(1, f));
                coordinates[2 * f] = std::cos(t);
                coordinates[2 * f + 1] = std::sin(t);
            }
            return;
        case Opcode::linear:
            for (index_t f = 0; f < count; ++f)
                coordinates[f] = std::sqrt(node.value(0, f)) * (features[f] - node.value(1, f));
            return;
        case Opcode::cosine: {
            const double t = phase(node, features);
            coordinates[0] = std::cos(t);
            coordinates[1] = std::sin(t);
            return;
        }
        case Opcode::sigmoid:
            coordinates[0] = logistic(sigmoid_argument(node, features[0]));
            return;
        case Opcode::angular:
            return map_angular(node, features, coordinates);
        case Opcode::norm:
            coordinates[0] = std::pow(squared_norm(node, features), 0.5 * node.constant);
            return;
        default:
            std::copy_n(features, count, coordinates);
    }
}

template <class T>
void reverse(const Node<T>& node, const double* features, const double* adjoint,
             std::span<double> parameters, double* by_features) {
    const auto count = static_cast<index_t>(node.features.size());
    switch (node.opcode) {
        case Opcode::periodic:
            for (index_t f = 0; f < count; ++f) {
                const double t = angle(features[f], node.value(1, f));
                const double turns = bounded(features[f] / node.value(1, f));
                const double by_angle =
                    adjoint[2 * f + 1] * std::cos(t) - adjoint[2 * f] * std::sin(t);
                add(node, 1, f, -kTwoPi * turns * by_angle, parameters);
                by_features[f] += kTwoPi / node.value(1, f) * by_angle;
            }
            return;
        case Opcode::linear:
            for (index_t f = 0; f < count; ++f) {
                const double root = std::sqrt(node.value(0, f));
                add(node, 0, f, 0.5 * adjoint[f] * root * (features[f] - node.value(1, f)),
                    parameters);
                add(node, 1, f, -adjoint[f] * root, parameters);
                by_features[f] += adjoint[f] * root;
            }
            return;
        case Opcode::cosine: {
            const double t = phase(node, features);
            const double by_angle = adjoint[1] * std::cos(t) - adjoint[0] * std::sin(t);
            for (index_t f = 0; f < count; ++f) {
                const double turns = bounded(features[f] / node.value(0, f));
                add(node, 0, f, -kTwoPi * turns * by_angle, parameters);
                by_features[f] += kTwoPi / node.value(0, f) * by_angle;
            }
            return;
        }
        case Opcode::sigmoid: {
            const double argument = sigmoid_argument(node, features[0]);
            const double slope = adjoint[0] * logistic(argument) * logistic(-argument);
            const double rate = node.constant / node.value(1);
            add(node, 0, 0, -slope * rate, parameters);
            add(node, 1, 0, -slope * argument, parameters);
            by_features[0] += slope * rate;
            return;
        }
        case Opcode::angular:
            return reverse_angular(node, features, adjoint, parameters, by_features);
        case Opcode::norm:
            return reverse_norm(node, features, adjoint[0], parameters, by_features);
        default:
            for (index_t f = 0; f < count; ++f) by_features[f] += adjoint[f];
    }
}

#define GPRAT_INSTANTIATE(T)                                   \
    template void map(const Node<T>&, const double*, double*); \
    template void reverse(const Node<T>&, const double*, const double*, std::span<double>, double*);
GPRAT_INSTANTIATE(float)
GPRAT_INSTANTIATE(double)
#undef GPRAT_INSTANTIATE

}  // namespace gprat::covariance::warp
