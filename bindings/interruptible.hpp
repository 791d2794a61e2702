#pragma once

#include <nanobind/nanobind.h>

#include <utility>

#include "gprat/error.hpp"
#include "gprat/tasks/task_graph.hpp"

namespace gprat::bindings {

/// Calls `work(options)` without the GIL, on at most `threads` workers; the only place that
/// releases it. Ctrl-C cancels the work and raises KeyboardInterrupt.
template <class Work>
void run_interruptibly(int threads, Work&& work) {
    tasks::RunOptions options;
    options.threads = threads;
    options.should_cancel = [] {
        const nanobind::gil_scoped_acquire gil;
        return PyErr_CheckSignals() != 0;
    };
    bool cancelled = false;
    {
        const nanobind::gil_scoped_release no_gil;
        try {
            std::forward<Work>(work)(options);
        } catch (const Cancelled&) {
            cancelled = true;
        }
    }
    // The signal handler's exception is pending, also if the work was quicker than the cancelling.
    if (PyErr_Occurred() != nullptr) throw nanobind::python_error();
    if (cancelled) throw Cancelled();
}

}  // namespace gprat::bindings
