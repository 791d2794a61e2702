#pragma once

#include <cstdint>
#include <vector>

#include "gprat/types.hpp"

namespace gprat::covariance {

/// What an instruction does to points x and z, of which a leaf may read some features only. r is
/// their distance after division by the length scales (one for all features, or one each). The
/// numbers are part of the interface to Python.
enum class Opcode : std::int32_t {
    constant = 0,            ///< constant_value
    white = 1,               ///< noise_level where both points are the same one of the same set
    rbf = 2,                 ///< exp(−r²/2)
    matern12 = 3,            ///< exp(−r)
    matern32 = 4,            ///< (1 + √3 r) exp(−√3 r)
    matern52 = 5,            ///< (1 + √5 r + 5r²/3) exp(−√5 r)
    rational_quadratic = 6,  ///< (1 + r²/(2α))^(−α); hyperparameters α, length_scale
    exp_sine_squared = 7,    ///< exp(−2 (sin(π|x−z|/p)/l)²); l = length_scale, p
    dot_product = 8,         ///< sigma_0² + x·z
    sum = 9,                 ///< pops two, pushes one
    product = 10,            ///< pops two, pushes one
    power = 11,              ///< pops one, pushes one; constant = the exponent
    matern = 12,             ///< R&W 2006, eq. 4.14; constant = ν
    periodic = 13,           ///< exp(−2 Σ sin²(π(x−z)/p)/l²); length_scale, periodicity
    linear = 14,             ///< Σ v(x−c)(z−c); variance, centre
    cosine = 15,             ///< cos(2π Σ (x−z)/p); period
    sigmoid = 16,            ///< s(x)s(z), s(x) = 1/(1 + exp(∓(x−c)/w)); constant = ±1; c, w
    angular = 17,            ///< J_n(t)/π, t the angle of x̃ = (√w x, √b) and z̃ (Cho & Saul 2009);
                             ///< constant = n; weight_variance, bias_variance
    norm = 18                ///< (‖x̃‖‖z̃‖)^n; as angular
};

/// Consecutive values in the vector of parameters.
struct ParameterRange {
    index_t first = 0;
    index_t count = 0;
};

struct Instruction {
    Opcode opcode = Opcode::constant;
    std::vector<ParameterRange> parameters = {};  ///< one a hyperparameter of a leaf
    std::vector<index_t> features = {};           ///< what a leaf reads of a point; empty: all
    double constant = 0.0;                        ///< a number that is no hyperparameter
    double reciprocal =
        0.0;  ///< unless 0, the leaf computes with reciprocal/value in place of values
};

/// A covariance function as a postfix program over a flat vector of parameters.
class Program {
public:
    /// Throws InvalidArgument unless the instructions leave exactly one value on the stack and
    /// every one of them reads as many parameters as its opcode takes, all within
    /// `parameter_count`.
    Program(std::vector<Instruction> instructions, index_t parameter_count, index_t feature_count);

    const std::vector<Instruction>& instructions() const { return instructions_; }
    index_t parameter_count() const { return parameter_count_; }
    index_t feature_count() const { return feature_count_; }

private:
    void check_parameters(const Instruction& instruction) const;
    void check_features(const Instruction& instruction) const;

    std::vector<Instruction> instructions_;
    index_t parameter_count_;
    index_t feature_count_;
};

/// How many values an instruction pops; it pushes one.
index_t operand_count(Opcode opcode);

/// How many values a hyperparameter of a leaf may have, and which.
struct ParameterKind {
    bool may_be_one_a_feature = false;
    bool may_be_zero = false;
    bool may_be_negative = false;  ///< derivatives are by the value, not by its logarithm
};

/// The hyperparameters that an opcode takes, in order.
const std::vector<ParameterKind>& parameter_kinds(Opcode opcode);

}  // namespace gprat::covariance
