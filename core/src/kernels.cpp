#include "gprat/kernels.hpp"

#include <cmath>
#include <string>
#include <utility>

#include "gprat/error.hpp"

namespace gprat::kernels {

using covariance::Opcode;

Expression Expression::leaf(Opcode opcode, std::initializer_list<Values> hyperparameters,
                            double constant) {
    const auto& kinds = covariance::parameter_kinds(opcode);
    if (kinds.size() != hyperparameters.size())
        throw InvalidArgument("the leaf takes " + std::to_string(kinds.size()) +
                              " hyperparameters, got " + std::to_string(hyperparameters.size()));
    Expression result;
    covariance::Instruction instruction{opcode, {}, {}, constant};
    auto kind = kinds.begin();
    for (const auto& values : hyperparameters) {
        const bool is_log = !(kind++)->may_be_negative;
        instruction.parameters.push_back(
            {std::ssize(result.parameters_), std::ssize(values.get())});
        for (const double value : values.get()) {
            result.parameters_.push_back(value);
            result.is_free_.push_back(1);
            result.is_log_.push_back(is_log);
        }
    }
    result.instructions_.push_back(std::move(instruction));
    return result;
}

void Expression::append(const Expression& other, Opcode combination) {
    // Of a copy, since `other` may be this one.
    const Expression added = other;
    const index_t shift = std::ssize(parameters_);
    for (auto instruction : added.instructions_) {
        for (auto& range : instruction.parameters) range.first += shift;
        instructions_.push_back(std::move(instruction));
    }
    instructions_.push_back({combination});
    parameters_.insert(parameters_.end(), added.parameters_.begin(), added.parameters_.end());
    is_free_.insert(is_free_.end(), added.is_free_.begin(), added.is_free_.end());
    is_log_.insert(is_log_.end(), added.is_log_.begin(), added.is_log_.end());
}

Expression& Expression::operator+=(const Expression& other) {
    append(other, Opcode::sum);
    return *this;
}

Expression& Expression::operator*=(const Expression& other) {
    append(other, Opcode::product);
    return *this;
}

Expression Expression::on_features(std::vector<index_t> features) const {
    Expression result = *this;
    for (auto& instruction : result.instructions_) {
        const bool reads_points = covariance::operand_count(instruction.opcode) == 0 &&
                                  instruction.opcode != Opcode::constant &&
                                  instruction.opcode != Opcode::white;
        if (!reads_points) continue;
        if (!instruction.features.empty())
            throw InvalidArgument("a part of the kernel has its features already");
        instruction.features = features;
    }
    return result;
}

Expression Expression::fixed() const {
    Expression result = *this;
    result.is_free_.assign(parameters_.size(), 0);
    return result;
}

Expression Expression::power(double exponent) const {
    Expression result = *this;
    result.instructions_.push_back({Opcode::power, {}, {}, exponent});
    return result;
}

std::vector<double> Expression::theta() const {
    std::vector<double> theta;
    for (std::size_t i = 0; i < parameters_.size(); ++i)
        if (is_free_[i]) theta.push_back(is_log_[i] ? std::log(parameters_[i]) : parameters_[i]);
    return theta;
}

Expression Expression::with_theta(std::span<const double> theta) const {
    Expression result = *this;
    auto next = theta.begin();
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
        if (!is_free_[i]) continue;
        if (next == theta.end())
            throw InvalidArgument("theta has only " + std::to_string(theta.size()) + " values");
        if (!std::isfinite(*next))
            throw InvalidArgument("theta must be finite, got " + std::to_string(*next));
        result.parameters_[i] = is_log_[i] ? std::exp(*next) : *next;
        ++next;
    }
    if (next != theta.end())
        throw InvalidArgument("theta must have " + std::to_string(next - theta.begin()) +
                              " values, got " + std::to_string(theta.size()));
    return result;
}

covariance::Program Expression::program(index_t features) const {
    return {instructions_, std::ssize(parameters_), features};
}

Expression constant(double value) {
    return Expression::leaf(Opcode::constant, {value});
}

Expression white(double noise_level) {
    return Expression::leaf(Opcode::white, {noise_level});
}

Expression rbf(Values length_scale) {
    return Expression::leaf(Opcode::rbf, {std::move(length_scale)});
}

Expression matern(Values length_scale, double nu) {
    if (nu == 0.5) return Expression::leaf(Opcode::matern12, {std::move(length_scale)});
    if (nu == 1.5) return Expression::leaf(Opcode::matern32, {std::move(length_scale)});
    if (nu == 2.5) return Expression::leaf(Opcode::matern52, {std::move(length_scale)});
    if (!(nu > 0.0)) throw InvalidArgument("nu must be positive, got " + std::to_string(nu));
    if (std::isinf(nu)) return rbf(std::move(length_scale));
    return Expression::leaf(Opcode::matern, {std::move(length_scale)}, nu);
}

Expression rational_quadratic(double alpha, Values length_scale) {
    return Expression::leaf(Opcode::rational_quadratic, {alpha, std::move(length_scale)});
}

Expression exp_sine_squared(double length_scale, double periodicity) {
    return Expression::leaf(Opcode::exp_sine_squared, {length_scale, periodicity});
}

Expression periodic(Values length_scale, Values periodicity) {
    return Expression::leaf(Opcode::periodic, {std::move(length_scale), std::move(periodicity)});
}

Expression dot_product(double sigma_0) {
    return Expression::leaf(Opcode::dot_product, {sigma_0});
}

Expression linear(Values variance, Values centre) {
    return Expression::leaf(Opcode::linear, {std::move(variance), std::move(centre)});
}

Expression cosine(Values period) {
    return Expression::leaf(Opcode::cosine, {std::move(period)});
}

}  // namespace gprat::kernels
