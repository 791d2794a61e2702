#include <nanobind/stl/optional.h>

#include <optional>
#include <vector>

#include "arrays.hpp"
#include "bindings.hpp"
#include "gprat/covariance/kernel.hpp"
#include "gprat/covariance/program.hpp"

namespace gprat::bindings {

using namespace nb::literals;
using covariance::Instruction;
using covariance::Opcode;
using covariance::Program;

namespace {

void make_program(Program* self, const VectorIn<std::int32_t>& opcodes,
                  const VectorIn<std::int64_t>& first_parameter,
                  const VectorIn<std::int64_t>& parameter_count, const VectorIn<double>& exponent,
                  index_t parameters, index_t features) {
    std::vector<Instruction> instructions;
    for (std::size_t i = 0; i < opcodes.shape(0); ++i)
        instructions.push_back(
            {static_cast<Opcode>(opcodes(i)), first_parameter(i), parameter_count(i), exponent(i)});
    new (self) Program(std::move(instructions), parameters, features);
}

template <class T>
nb::object covariance_matrix(const Program& program, const VectorIn<double>& parameters,
                             const MatrixIn<T>& a, const std::optional<MatrixIn<T>>& b) {
    using namespace covariance;
    const Kernel<T> kernel(program, {parameters.data(), parameters.size()}, {});
    const auto points = [](const MatrixIn<T>& x) {
        return Points<T>{x.data(), static_cast<index_t>(x.shape(0)),
                         static_cast<index_t>(x.shape(1)), 0};
    };
    const auto rows = points(a);
    const auto cols = points(b ? *b : a);
    Buffer<T> k(rows.count * cols.count);
    kernel.evaluate(rows, cols, b ? Pairing::cross : Pairing::same_set, Region::full,
                    MatrixView<T>(k.data(), rows.count, cols.count));
    return to_numpy(std::move(k), rows.count, cols.count, Order::column_major);
}

}  // namespace

void bind_program(nb::module_& module) {
    nb::class_<Program>(module, "Program")
        .def("__init__", &make_program, "opcodes"_a, "first_parameter"_a, "parameter_count"_a,
             "exponent"_a, "n_parameters"_a, "n_features"_a);
    module.def("covariance_float64", &covariance_matrix<double>, "program"_a, "parameters"_a, "a"_a,
               "b"_a.none());
    module.def("covariance_float32", &covariance_matrix<float>, "program"_a, "parameters"_a, "a"_a,
               "b"_a.none());
}

}  // namespace gprat::bindings
