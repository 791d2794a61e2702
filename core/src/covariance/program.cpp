#include "gprat/covariance/program.hpp"

#include <cmath>
#include <string>
#include <utility>

#include "gprat/error.hpp"

namespace gprat::covariance {

namespace {

index_t fewest_parameters(Opcode opcode) {
    switch (opcode) {
        case Opcode::rational_quadratic:
        case Opcode::exp_sine_squared:
            return 2;
        case Opcode::sum:
        case Opcode::product:
        case Opcode::power:
            return 0;
        default:
            return 1;
    }
}

std::string describe(const Instruction& instruction) {
    return "instruction with opcode " + std::to_string(static_cast<int>(instruction.opcode));
}

}  // namespace

bool takes_length_scales(Opcode opcode) {
    return opcode >= Opcode::rbf && opcode <= Opcode::matern52;
}

index_t operand_count(Opcode opcode) {
    switch (opcode) {
        case Opcode::sum:
        case Opcode::product:
            return 2;
        case Opcode::power:
            return 1;
        default:
            return 0;
    }
}

Program::Program(std::vector<Instruction> instructions, index_t parameter_count,
                 index_t feature_count)
    : instructions_(std::move(instructions)),
      parameter_count_(parameter_count),
      feature_count_(feature_count) {
    if (feature_count_ < 1) throw InvalidArgument("a program needs points of at least one feature");
    index_t depth = 0;
    for (const auto& instruction : instructions_) {
        if (instruction.opcode < Opcode::constant || instruction.opcode > Opcode::power)
            throw InvalidArgument("unknown " + describe(instruction));
        check_parameters(instruction);
        const index_t operands = operand_count(instruction.opcode);
        if (depth < operands)
            throw InvalidArgument(describe(instruction) + " needs " + std::to_string(operands) +
                                  " operands, the stack holds " + std::to_string(depth));
        depth += 1 - operands;
    }
    if (depth != 1)
        throw InvalidArgument("a program must leave one value on the stack, this one leaves " +
                              std::to_string(depth));
}

void Program::check_parameters(const Instruction& instruction) const {
    const index_t count = instruction.parameter_count;
    const bool one_a_feature = takes_length_scales(instruction.opcode) && count == feature_count_;
    if (count != fewest_parameters(instruction.opcode) && !one_a_feature)
        throw InvalidArgument(describe(instruction) + " cannot take " + std::to_string(count) +
                              " parameters with " + std::to_string(feature_count_) + " features");
    // Compared without a sum, which could overflow.
    const index_t first = instruction.first_parameter;
    if (count > 0 && (first < 0 || count > parameter_count_ || first > parameter_count_ - count))
        throw InvalidArgument(describe(instruction) + " reads parameters outside the " +
                              std::to_string(parameter_count_) + " that the program has");
    if (!std::isfinite(instruction.exponent))
        throw InvalidArgument(describe(instruction) + " has an exponent that is not finite");
}

}  // namespace gprat::covariance
