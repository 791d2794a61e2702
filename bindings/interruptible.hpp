#pragma once

#include <nanobind/nanobind.h>

#include <utility>

#include "gprat/error.hpp"
#include "gprat/tasks/task_graph.hpp"

namespace gprat::bindings {

/// What this thread's computations tell how far they are, as `listener(flops, pairs)`; may be null.
inline thread_local PyObject* progress_listener = nullptr;

/// Tells `listener`, unless an exception waits to be raised, its own or the signal handler's.
inline void tell_progress(PyObject* listener, const tasks::WorkDone& done) {
    const nanobind::gil_scoped_acquire gil;
    if (PyErr_Occurred() != nullptr) return;
    Py_XDECREF(PyObject_CallFunction(listener, "dd", done.flops, done.pairs));
}

/// Calls `work(options)` without the GIL, on at most `threads` workers; the only place that
/// releases it. Ctrl-C, and an exception of the progress listener, cancel the work and are raised.
template <class Work>
void run_interruptibly(int threads, Work&& work) {
    tasks::RunOptions options;
    options.threads = threads;
    // What a task computes by another call is no progress of this one.
    if (PyObject* const listener = tasks::TaskGraph::is_in_task() ? nullptr : progress_listener)
        options.on_progress = [listener](const auto& done) { tell_progress(listener, done); };
    options.should_cancel = [] {
        const nanobind::gil_scoped_acquire gil;
        return PyErr_Occurred() != nullptr || PyErr_CheckSignals() != 0;
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
    // An exception may be pending, also if the work was quicker than the cancelling.
    if (PyErr_Occurred() != nullptr) throw nanobind::python_error();
    if (cancelled) throw Cancelled();
}

}  // namespace gprat::bindings
