#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>

#include <utility>
#include <vector>

#include "bindings.hpp"
#include "gprat/calibration/measure.hpp"
#include "gprat/linalg/blas.hpp"

namespace gprat::bindings {

namespace nb = nanobind;
using namespace nb::literals;

namespace {

/// Tuples (name, work, seconds).
template <class T>
nb::list measure_tasks(const calibration::Workload& workload) {
    std::vector<calibration::TaskTime> times;
    {
        const nb::gil_scoped_release no_gil;
        times = calibration::measure_tasks<T>(workload);
    }
    nb::list list;
    for (const auto& time : times) list.append(nb::make_tuple(time.name, time.work, time.seconds));
    return list;
}

template <class T>
void bind_tasks(nb::module_& module, const char* name) {
    module.def(
        name,
        [](index_t size, index_t features, index_t test_points, index_t right_hand_sides,
           index_t tile_size, int threads) {
            return measure_tasks<T>(
                {size, features, test_points, right_hand_sides, tile_size, threads});
        },
        "size"_a, "features"_a, "test_points"_a, "right_hand_sides"_a, "tile_size"_a, "threads"_a);
}

}  // namespace

void bind_calibration(nb::module_& module) {
    const nb::call_guard<nb::gil_scoped_release> no_gil;
    nb::module_ submodule = module.def_submodule("calibration");
    bind_tasks<float>(submodule, "measure_tasks_float32");
    bind_tasks<double>(submodule, "measure_tasks_float64");
    submodule.def(
        "measure_graph",
        [](int threads) {
            const auto costs = calibration::measure_graph(threads);
            return std::pair(costs.submission, costs.scheduling);
        },
        "threads"_a, no_gil);
    submodule.def(
        "measure_memory",
        [](int threads) {
            const auto rates = calibration::measure_memory(threads);
            return std::pair(rates.first_touch, rates.read);
        },
        "threads"_a, no_gil);
    submodule.def("blas_name", &blas::name);
}

}  // namespace gprat::bindings
