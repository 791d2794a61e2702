#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <utility>
#include <vector>

#include "gprat/covariance/program.hpp"
#include "gprat/types.hpp"

/// Covariance functions as one writes them:
/// `kernels::constant(2.0) * kernels::rbf({1.0, 0.5}) + kernels::white(0.1)`.
namespace gprat::kernels {

/// The values of one hyperparameter: one for all features, or one each.
class Values {
public:
    Values(double value) : values_{value} {}  // NOLINT(google-explicit-constructor)
    Values(std::initializer_list<double> values) : values_(values) {}
    Values(std::vector<double> values)  // NOLINT(google-explicit-constructor)
        : values_(std::move(values)) {}

    const std::vector<double>& get() const { return values_; }

private:
    std::vector<double> values_;
};

/// A covariance function with its hyperparameters, in the order in which it was written.
class Expression {
public:
    /// One instruction that reads points, with its hyperparameters in the opcode's order.
    static Expression leaf(covariance::Opcode opcode, std::initializer_list<Values> hyperparameters,
                           double constant = 0.0);

    Expression& operator+=(const Expression& other);
    Expression& operator*=(const Expression& other);

    /// The same function of some of the features: its leaves must not have been given any yet.
    Expression on_features(std::vector<index_t> features) const;

    /// The same function, its hyperparameters left alone by training.
    Expression fixed() const;

    /// k(x, z)ᵉ
    Expression power(double exponent) const;

    /// The free hyperparameters as training sees them: logarithms, of those that are positive by
    /// nature, and values of the others (a centre).
    std::vector<double> theta() const;

    /// The same function at other values. Throws InvalidArgument unless there are as many as in
    /// `theta()` and all are finite.
    Expression with_theta(std::span<const double> theta) const;

    /// What engines run on points of so many features.
    covariance::Program program(index_t features) const;

    const std::vector<double>& parameters() const { return parameters_; }
    const std::vector<std::uint8_t>& is_free() const { return is_free_; }

private:
    void append(const Expression& other, covariance::Opcode combination);

    std::vector<covariance::Instruction> instructions_;
    std::vector<double> parameters_;
    std::vector<std::uint8_t> is_free_;
    std::vector<std::uint8_t> is_log_;
};

inline Expression operator+(Expression a, const Expression& b) {
    return a += b;
}
inline Expression operator*(Expression a, const Expression& b) {
    return a *= b;
}

// The meaning of each is told at `covariance::Opcode`; r is a distance in length scales.

Expression constant(double value);
/// Noise: not zero only where both points are the same one of the training set.
Expression white(double noise_level);
Expression rbf(Values length_scale);
/// ν = 0.5, 1.5, 2.5 and ∞ are the fast ones.
Expression matern(Values length_scale, double nu);
Expression rational_quadratic(double alpha, Values length_scale);
Expression exp_sine_squared(double length_scale, double periodicity);
Expression periodic(Values length_scale, Values periodicity);
Expression dot_product(double sigma_0);
Expression linear(Values variance, Values centre);
Expression cosine(Values period);

}  // namespace gprat::kernels
