#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

namespace gprat::bindings {

void bind_errors(nanobind::module_& module);
void bind_runtime(nanobind::module_& module);
void bind_trace(nanobind::module_& module);
void bind_covariance(nanobind::module_& module);
void bind_posterior(nanobind::module_& module);
void bind_gp(nanobind::module_& module);
void bind_blocks(nanobind::module_& module);
void bind_batch(nanobind::module_& module);
void bind_calibration(nanobind::module_& module);
void bind_simulator(nanobind::module_& module);

}  // namespace gprat::bindings
