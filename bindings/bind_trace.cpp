#include <nanobind/stl/shared_ptr.h>

#include <memory>

#include "bindings.hpp"
#include "gprat/tasks/recorder.hpp"

namespace gprat::bindings {

namespace nb = nanobind;

// Records are tuples (name, row, column, thread, start, end).
void bind_trace(nb::module_& module) {
    nb::class_<tasks::Recorder>(module, "Recorder")
        .def(nb::init<>())
        .def("records", [](const tasks::Recorder& recorder) {
            nb::list list;
            for (const auto& record : recorder.records())
                list.append(nb::make_tuple(record.label.name, record.label.row, record.label.column,
                                           record.thread, record.start, record.end));
            return list;
        });
    module.def(
        "set_recorder",
        [](std::shared_ptr<tasks::Recorder> recorder) { tasks::set_observer(std::move(recorder)); },
        nb::arg("recorder").none());
}

}  // namespace gprat::bindings
