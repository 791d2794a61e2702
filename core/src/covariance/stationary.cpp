#include "gprat/covariance/stationary.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "gprat/covariance/block_math.hpp"
#include "gprat/covariance/pair_math.hpp"
#include "gprat/covariance/vector_math.hpp"

namespace gprat::covariance::stationary {

namespace {

using block_math::Quadratic;
using pair_math::kHuge;

const double kSqrt3 = std::numbers::sqrt3;
const double kSqrt5 = 2.2360679774997896964;

template <class T>
Quadratic<T> quadratic(double c0, double c1, double c2) {
    return {static_cast<T>(c0), static_cast<T>(c1), static_cast<T>(c2)};
}

/// The polynomials of R&W 2006, equation 4.17, by which exp(−√(2ν) r) is multiplied.
template <class T>
Quadratic<T> matern_polynomial(Opcode opcode) {
    return opcode == Opcode::matern32 ? quadratic<T>(1.0, kSqrt3, 0.0)
                                      : quadratic<T>(1.0, kSqrt5, 5.0 / 3.0);
}

/// The coefficient as a number that stays finite when multiplied by anything up to 100.
template <class T>
T bounded(double coefficient) {
    return static_cast<T>(std::min(coefficient, static_cast<double>(kHuge<T>)));
}

template <class T>
T inverse_square_times_two(double length_scale) {
    return bounded<T>(2.0 / (length_scale * length_scale));
}

constexpr double kPi = std::numbers::pi;

/// J_n(t)/π (Cho and Saul 2009, section 2.1).
template <class T>
void angular(index_t count, int order, const T* angles, T* values) {
    for (index_t i = 0; i < count; ++i) {
        const double t = static_cast<double>(angles[i]), s = std::sin(t), c = std::cos(t);
        const double rest = kPi - t;
        const double j = order == 0   ? rest
                         : order == 1 ? s + rest * c
                                      : 3.0 * s * c + rest * (1.0 + 2.0 * c * c);
        values[i] = static_cast<T>(j / kPi);
    }
}

/// With d² = 2 − 2 cos t the squared distance: −2·∂/∂d² = −(∂/∂t)/sin t; 0 at t = 0 for order 0,
/// which has a kink there.
template <class T>
void angular_slope(index_t count, int order, const T* angles, const T* adjoint, T* weights) {
    for (index_t i = 0; i < count; ++i) {
        const double t = static_cast<double>(angles[i]), s = std::sin(t), c = std::cos(t);
        const double rest = kPi - t;
        const double slope = order == 0   ? (s > 0.0 ? 1.0 / s : 0.0)
                             : order == 1 ? rest
                                          : 4.0 * (s + rest * c);
        weights[i] = adjoint[i] * static_cast<T>(slope / kPi);
    }
}

template <class T>
void periodic_slope(index_t count, T factor, const T* distances, const T* values, const T* adjoint,
                    T* weights) {
    using namespace block_math;
    reduce_phase(count, distances, weights);
    vector_math::sine(count, T(2), weights, weights);
    multiply(count, weights, values, weights);
    multiply(count, weights, adjoint, weights);
    for (index_t i = 0; i < count; ++i)
        weights[i] =
            distances[i] > T(0) ? static_cast<T>(kPi) * factor * (weights[i] / distances[i]) : T(0);
}

}  // namespace

template <class T>
void evaluate(const Node<T>& node, index_t count, T* distances, T* values) {
    using namespace block_math;
    using namespace vector_math;
    const bool needs_root = node.opcode != Opcode::rbf && node.opcode != Opcode::periodic &&
                            node.opcode != Opcode::rational_quadratic &&
                            node.opcode != Opcode::angular;
    if (needs_root) square_root(count, distances, distances);
    switch (node.opcode) {
        case Opcode::rbf:
        case Opcode::periodic:  // 4 sin²(π(x−z)/p) is the squared distance on the circle
            exponential(count, T(-0.5), distances, values);
            return;
        case Opcode::matern12:
            exponential(count, T(-1), distances, values);
            return;
        case Opcode::matern32:
        case Opcode::matern52: {
            const auto polynomial = matern_polynomial<T>(node.opcode);
            exponential(count, -polynomial.c1, distances, values);
            multiply_polynomial(count, polynomial, distances, values, values);
            return;
        }
        case Opcode::rational_quadratic: {
            const double alpha = node.value(0);
            scale_within(count, bounded<T>(0.5 / alpha), distances, kHuge<T>, distances);
            log_one_plus(count, distances, values);
            exponential(count, -bounded<T>(alpha), values, values);
            return;
        }
        case Opcode::matern:
            for (index_t i = 0; i < count; ++i)
                values[i] =
                    static_cast<T>(node.table->covariance(static_cast<double>(distances[i])));
            return;
        case Opcode::angular:  // values hold the squared lengths of sums
            angle(count, distances, values, distances);
            return angular(count, static_cast<int>(node.constant), distances, values);
        default:  // exp_sine_squared
            reduce_phase(count, distances, values);
            sine(count, T(1), values, values);
            multiply(count, values, values, values);
            exponential(count, -inverse_square_times_two<T>(node.value(0)), values, values);
    }
}

template <class T>
void weigh_squares(const Node<T>& node, index_t count, const T* distances, const T* values,
                   const T* adjoint, T* weights) {
    using namespace block_math;
    switch (node.opcode) {
        case Opcode::matern12:
            return multiply_reciprocal(count, distances, adjoint, values, weights);
        case Opcode::matern32:
            return multiply_ratio(count, quadratic<T>(3.0, 0.0, 0.0),
                                  matern_polynomial<T>(node.opcode), distances, adjoint, values,
                                  weights);
        case Opcode::matern52:
            return multiply_ratio(count, quadratic<T>(5.0 / 3.0, 5.0 / 3.0 * kSqrt5, 0.0),
                                  matern_polynomial<T>(node.opcode), distances, adjoint, values,
                                  weights);
        case Opcode::rational_quadratic:
            return multiply_ratio(count, quadratic<T>(1.0, 0.0, 0.0), quadratic<T>(1.0, 1.0, 0.0),
                                  distances, adjoint, values, weights);
        case Opcode::matern:
            for (index_t i = 0; i < count; ++i)
                weights[i] = adjoint[i] *
                             static_cast<T>(node.table->slope(static_cast<double>(distances[i])));
            return;
        case Opcode::angular:
            return angular_slope(count, static_cast<int>(node.constant), distances, adjoint,
                                 weights);
        case Opcode::exp_sine_squared:  // −2·∂k/∂r² = −(∂k/∂r)/r
            return periodic_slope(count, inverse_square_times_two<T>(node.value(0)), distances,
                                  values, adjoint, weights);
        default:
            return multiply(count, adjoint, values, weights);
    }
}

template <class T>
double sum_weighted_squares(const Node<T>& node, index_t count, const T* weights,
                            const T* distances) {
    switch (node.opcode) {
        case Opcode::rbf:
        case Opcode::periodic:
            return block_math::dot(count, weights, distances);
        case Opcode::rational_quadratic:
            return 2.0 * node.value(0) * block_math::dot(count, weights, distances);
        default:
            return block_math::dot(count, weights, distances, distances);
    }
}

// With x = r²/(2α): ∂k/∂ log α = k·α·(x/(1 + x) − log(1 + x)).
template <class T>
double shape_derivative(const Node<T>& node, index_t count, const T* distances, const T* values,
                        const T* adjoint, const T* weights, T* scratch) {
    vector_math::log_one_plus(count, distances, scratch);
    return node.value(0) * (block_math::dot(count, weights, distances) -
                            block_math::dot(count, adjoint, values, scratch));
}

template <class T>
double periodic_length_scale_derivative(const Node<T>& node, index_t count, const T* distances,
                                        const T* weighted, T* scratch) {
    block_math::reduce_phase(count, distances, scratch);
    vector_math::sine(count, T(1), scratch, scratch);
    const auto factor = static_cast<double>(inverse_square_times_two<T>(node.value(0)));
    return 2.0 * factor * block_math::dot(count, weighted, scratch, scratch);
}

template <class T>
double periodicity_derivative(const Node<T>& node, index_t count, const T* distances,
                              const T* weighted, T* scratch) {
    block_math::reduce_phase(count, distances, scratch);
    vector_math::sine(count, T(2), scratch, scratch);
    const auto factor = static_cast<double>(inverse_square_times_two<T>(node.value(0)));
    return std::numbers::pi * factor * block_math::dot(count, weighted, distances, scratch);
}

#define GPRAT_INSTANTIATE(T)                                                                      \
    template void evaluate(const Node<T>&, index_t, T*, T*);                                      \
    template void weigh_squares(const Node<T>&, index_t, const T*, const T*, const T*, T*);       \
    template double sum_weighted_squares(const Node<T>&, index_t, const T*, const T*);            \
    template double shape_derivative(const Node<T>&, index_t, const T*, const T*, const T*,       \
                                     const T*, T*);                                               \
    template double periodic_length_scale_derivative(const Node<T>&, index_t, const T*, const T*, \
                                                     T*);                                         \
    template double periodicity_derivative(const Node<T>&, index_t, const T*, const T*, T*);
GPRAT_INSTANTIATE(double)
GPRAT_INSTANTIATE(float)
#undef GPRAT_INSTANTIATE

}  // namespace gprat::covariance::stationary
