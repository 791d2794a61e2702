#pragma once

#include <cstdint>
#include <vector>

#include "gprat/types.hpp"

namespace gprat::covariance {

/// What an instruction does, r being the distance of two points after division by the length scales
/// (one for all features, or one each). The numbers are part of the interface to Python.
enum class Opcode : std::int32_t {
    constant = 0,            ///< constant_value
    white = 1,               ///< noise_level where both points are the same one of the same set
    rbf = 2,                 ///< exp(−r²/2)
    matern12 = 3,            ///< exp(−r)
    matern32 = 4,            ///< (1 + √3 r) exp(−√3 r)
    matern52 = 5,            ///< (1 + √5 r + 5r²/3) exp(−√5 r)
    rational_quadratic = 6,  ///< (1 + r²/(2α))^(−α); parameters α, length_scale
    exp_sine_squared = 7,    ///< exp(−2 (sin(π|x−z|/p)/l)²); parameters l = length_scale, p
    dot_product = 8,         ///< sigma_0² + x·z
    sum = 9,                 ///< pops two, pushes one
    product = 10,            ///< pops two, pushes one
    power = 11               ///< pops one, pushes one; `exponent` is no parameter
};

struct Instruction {
    Opcode opcode = Opcode::constant;
    index_t first_parameter = -1;
    index_t parameter_count = 0;
    double exponent = 0.0;
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

    std::vector<Instruction> instructions_;
    index_t parameter_count_;
    index_t feature_count_;
};

/// How many values an instruction pops; it pushes one.
index_t operand_count(Opcode opcode);

/// Whether a leaf takes one length scale a feature as well as one for all.
bool takes_length_scales(Opcode opcode);

}  // namespace gprat::covariance
