// The private extension gprat._core: a table of contents. Each bind_*.cpp holds one topic.
#include "bindings.hpp"

NB_MODULE(_core, module) {
    // What Python leaves behind at exit, as it does beside PyTorch, is no leak that users can mend.
    nanobind::set_leak_warnings(false);
    using namespace gprat::bindings;
    bind_errors(module);
    bind_runtime(module);
    bind_trace(module);
    bind_covariance(module);
    bind_posterior(module);
    bind_gp(module);
    bind_blocks(module);
    bind_batch(module);
    bind_calibration(module);
    bind_simulator(module);
}
