// The private extension gprat._core: a table of contents. Each bind_*.cpp holds one topic.
#include "bindings.hpp"

NB_MODULE(_core, module) {
    using namespace gprat::bindings;
    bind_errors(module);
    bind_runtime(module);
    bind_trace(module);
    bind_covariance(module);
    bind_gp(module);
}
