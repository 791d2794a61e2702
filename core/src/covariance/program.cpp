#include "gprat/covariance/program.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "gprat/error.hpp"

namespace gprat::covariance {

namespace {

constexpr auto kLastOpcode = Opcode::norm;

std::string describe(const Instruction& instruction) {
    return "instruction with opcode " + std::to_string(static_cast<int>(instruction.opcode));
}

bool is_valid_constant(const Instruction& instruction) {
    const double value = instruction.constant;
    switch (instruction.opcode) {
        case Opcode::matern:
            return std::isfinite(value) && value > 0.0;
        case Opcode::sigmoid:
            return value == 1.0 || value == -1.0;
        case Opcode::angular:
        case Opcode::norm:
            return value == 0.0 || value == 1.0 || value == 2.0;
        default:
            return std::isfinite(value);
    }
}

std::vector<std::vector<ParameterKind>> make_kinds() {
    const ParameterKind positive{}, scale{.may_be_one_a_feature = true},
        not_negative{.may_be_zero = true};
    const ParameterKind scale_or_zero{.may_be_one_a_feature = true, .may_be_zero = true};
    const ParameterKind place{
        .may_be_one_a_feature = true, .may_be_zero = true, .may_be_negative = true};
    const ParameterKind one_place{.may_be_zero = true, .may_be_negative = true};
    std::vector<std::vector<ParameterKind>> kinds(static_cast<std::size_t>(kLastOpcode) + 1);
    const auto set = [&](Opcode opcode, std::vector<ParameterKind> value) {
        kinds[static_cast<std::size_t>(opcode)] = std::move(value);
    };
    set(Opcode::constant, {not_negative});
    set(Opcode::white, {not_negative});
    for (const auto opcode :
         {Opcode::rbf, Opcode::matern12, Opcode::matern32, Opcode::matern52, Opcode::matern})
        set(opcode, {scale});
    set(Opcode::rational_quadratic, {positive, scale});
    set(Opcode::exp_sine_squared, {positive, positive});
    set(Opcode::dot_product, {not_negative});
    set(Opcode::periodic, {scale, scale});
    set(Opcode::linear, {scale_or_zero, place});
    set(Opcode::cosine, {scale});
    set(Opcode::sigmoid, {one_place, positive});
    set(Opcode::angular, {scale_or_zero, not_negative});
    set(Opcode::norm, {scale_or_zero, not_negative});
    return kinds;
}

}  // namespace

const std::vector<ParameterKind>& parameter_kinds(Opcode opcode) {
    static const auto kinds = make_kinds();
    return kinds[static_cast<std::size_t>(opcode)];
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
        if (instruction.opcode < Opcode::constant || instruction.opcode > kLastOpcode)
            throw InvalidArgument("unknown " + describe(instruction));
        check_features(instruction);
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

void Program::check_features(const Instruction& instruction) const {
    const auto& features = instruction.features;
    for (std::size_t i = 0; i < features.size(); ++i) {
        const bool repeated =
            std::find(features.begin(), features.begin() + static_cast<std::ptrdiff_t>(i),
                      features[i]) != features.begin() + static_cast<std::ptrdiff_t>(i);
        if (features[i] < 0 || features[i] >= feature_count_ || repeated)
            throw InvalidArgument(describe(instruction) + " reads feature " +
                                  std::to_string(features[i]) + ", repeated or not one of " +
                                  std::to_string(feature_count_));
    }
    const auto count = features.empty() ? feature_count_ : static_cast<index_t>(features.size());
    if (instruction.opcode == Opcode::sigmoid && count != 1)
        throw InvalidArgument(describe(instruction) + " reads exactly one feature");
}

void Program::check_parameters(const Instruction& instruction) const {
    const auto& kinds = parameter_kinds(instruction.opcode);
    const auto features = instruction.features.empty()
                              ? feature_count_
                              : static_cast<index_t>(instruction.features.size());
    if (instruction.parameters.size() != kinds.size())
        throw InvalidArgument(describe(instruction) + " takes " + std::to_string(kinds.size()) +
                              " hyperparameters, got " +
                              std::to_string(instruction.parameters.size()));
    for (std::size_t i = 0; i < kinds.size(); ++i) {
        const auto [first, count] = instruction.parameters[i];
        if (count != 1 && !(kinds[i].may_be_one_a_feature && count == features))
            throw InvalidArgument(describe(instruction) + " cannot take " + std::to_string(count) +
                                  " values with " + std::to_string(features) + " features");
        // Compared without a sum, which could overflow.
        if (first < 0 || count > parameter_count_ || first > parameter_count_ - count)
            throw InvalidArgument(describe(instruction) + " reads parameters outside the " +
                                  std::to_string(parameter_count_) + " that the program has");
    }
    if (!is_valid_constant(instruction))
        throw InvalidArgument(describe(instruction) + " cannot have the constant " +
                              std::to_string(instruction.constant));
    if (!(std::isfinite(instruction.reciprocal) && instruction.reciprocal >= 0.0))
        throw InvalidArgument(describe(instruction) + " needs a reciprocal that is not negative");
}

}  // namespace gprat::covariance
