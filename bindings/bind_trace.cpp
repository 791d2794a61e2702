#include <nanobind/stl/shared_ptr.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "bindings.hpp"
#include "gprat/tasks/recorder.hpp"

namespace gprat::bindings {

namespace nb = nanobind;

namespace {

/// A record as NumPy reads it: see `_RECORD` in gprat/tracing/recording.py.
struct PackedRecord {
    std::int64_t name, row, column, thread, graph, released_by;
    double work, start, end;
};

/// The names of all operations, and the records, which have indices of names, as bytes.
nb::tuple packed_records(const tasks::Recorder& recorder) {
    std::map<std::string_view, std::int64_t> number_of;
    nb::list names;
    std::vector<PackedRecord> packed;
    const auto records = recorder.records();
    packed.reserve(records.size());
    for (const auto& record : records) {
        const auto& label = record.label;
        const auto [entry, is_new] =
            number_of.try_emplace(label.name, static_cast<std::int64_t>(number_of.size()));
        if (is_new) names.append(label.name);
        packed.push_back({entry->second, label.row, label.column, record.thread, record.graph,
                          record.released_by, label.work, record.start, record.end});
    }
    return nb::make_tuple(names, nb::bytes(packed.data(), packed.size() * sizeof(PackedRecord)));
}

}  // namespace

void bind_trace(nb::module_& module) {
    nb::class_<tasks::Recorder>(module, "Recorder")
        .def(nb::init<index_t>(), nb::arg("max_tasks"))
        .def("records", &packed_records)
        .def_prop_ro("ended", &tasks::Recorder::ended)
        .def_prop_ro("lost", &tasks::Recorder::lost)
        .def_prop_ro("threads", &tasks::Recorder::threads)
        .def("now", &tasks::Recorder::now);
    module.def(
        "set_recorder",
        [](std::shared_ptr<tasks::Recorder> recorder) { tasks::set_observer(std::move(recorder)); },
        nb::arg("recorder").none());
}

}  // namespace gprat::bindings
