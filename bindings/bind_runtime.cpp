#include "bindings.hpp"
#include "gprat/linalg/page_cache.hpp"
#include "gprat/tasks/runtime.hpp"
#include "interruptible.hpp"

namespace gprat::bindings {

namespace nb = nanobind;
using namespace nb::literals;
using tasks::Runtime;

void bind_runtime(nb::module_& module) {
    const nb::call_guard<nb::gil_scoped_release> no_gil;
    nb::module_ runtime = module.def_submodule("runtime");
    runtime.def(
        "start", [](int threads) { Runtime::instance().start(threads); }, "threads"_a = 0, no_gil);
    runtime.def("stop", [] { Runtime::instance().stop(); }, no_gil);
    runtime.def("suspend", [] { Runtime::instance().suspend(); });
    runtime.def("resume", [] { Runtime::instance().resume(); }, no_gil);
    runtime.def("threads", [] { return Runtime::instance().threads(); }, no_gil);
    runtime.def("is_running", [] { return Runtime::instance().is_running(); }, no_gil);
    runtime.def("is_suspended", [] { return Runtime::instance().is_suspended(); });
    runtime.def("default_threads", [] { return Runtime::default_threads(); });
    runtime.def("free_cached_memory", [] { PageCache::instance().clear(); });
    runtime.def(
        "set_progress_listener",
        [](nb::handle listener) {
            PyObject* const before = progress_listener;
            progress_listener = listener.is_none() ? nullptr : listener.inc_ref().ptr();
            Py_XDECREF(before);
        },
        "listener"_a.none());
}

}  // namespace gprat::bindings
