#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "bindings.hpp"
#include "gprat/covariance/kernel.hpp"
#include "gprat/covariance/program.hpp"
#include "python_covariance.hpp"

namespace gprat::bindings {

using namespace nb::literals;
using covariance::Covariance;
using covariance::Instruction;
using covariance::Kernel;
using covariance::Opcode;
using covariance::Program;

namespace {

/// Opcode, (first, count) of each hyperparameter, features, constant, reciprocal.
using InstructionIn = std::tuple<int, nb::sequence, nb::sequence, double, double>;

// nanobind's own conversion to vectors ends the process where there's no memory for them.
Instruction convert(const InstructionIn& from) {
    const auto& [opcode, ranges, columns, constant, reciprocal] = from;
    Instruction instruction{static_cast<Opcode>(opcode), {}, {}, constant, reciprocal};
    for (const nb::handle range : ranges) {
        const auto [first, count] = nb::cast<std::pair<index_t, index_t>>(range);
        instruction.parameters.push_back({first, count});
    }
    for (const nb::handle column : columns)
        instruction.features.push_back(nb::cast<index_t>(column));
    return instruction;
}

void make_program(Program* self, const nb::sequence& instructions, index_t parameters,
                  index_t features) {
    std::vector<Instruction> converted;
    for (const nb::handle instruction : instructions)
        converted.push_back(convert(nb::cast<InstructionIn>(instruction)));
    new (self) Program(std::move(converted), parameters, features);
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

/// k(x, x) of each point, white noise included.
template <class T>
nb::object diagonal(const Covariance<T>& kernel, const MatrixIn<T>& x) {
    const auto count = static_cast<index_t>(x.shape(0));
    Buffer<T> variances(count);
    kernel.diagonal({x.data(), count, static_cast<index_t>(x.shape(1)), 0}, variances.data());
    return to_numpy(std::move(variances), count);
}

template <class T>
void bind_for(nb::module_& module, const std::string& type) {
    nb::class_<Covariance<T>>(module, ("Covariance" + type).c_str())
        .def("diagonal", &diagonal<T>, "X"_a.noconvert());
    nb::class_<Kernel<T>, Covariance<T>>(module, ("CompiledCovariance" + type).c_str())
        .def(
            "__init__",
            [](Kernel<T>* self, const Program& program, const VectorIn<double>& parameters,
               const VectorIn<std::uint8_t>& is_free) {
                new (self) Kernel<T>(program, {parameters.data(), parameters.size()},
                                     {is_free.data(), is_free.size()});
            },
            "program"_a, "parameters"_a, "is_free"_a);
    nb::class_<PythonCovariance<T>, Covariance<T>>(module, ("PythonCovariance" + type).c_str())
        .def(nb::init<nb::object, nb::object, nb::object, index_t>(), "evaluate"_a, "diagonal"_a,
             "gradient"_a, "n_parameters"_a);
}

}  // namespace

void bind_covariance(nb::module_& module) {
    nb::class_<Program>(module, "Program")
        .def("__init__", &make_program, "instructions"_a, "n_parameters"_a, "n_features"_a);
    bind_for<double>(module, "Float64");
    bind_for<float>(module, "Float32");
    module.def("covariance_float64", &covariance_matrix<double>, "program"_a, "parameters"_a, "a"_a,
               "b"_a.none());
    module.def("covariance_float32", &covariance_matrix<float>, "program"_a, "parameters"_a, "a"_a,
               "b"_a.none());
}

}  // namespace gprat::bindings
