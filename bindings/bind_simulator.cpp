#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "bindings.hpp"
#include "gprat/error.hpp"
#include "gprat/gp/record.hpp"
#include "gprat/tasks/simulator.hpp"

namespace gprat::bindings {

using namespace nb::literals;

namespace {

template <class T>
nb::object to_numpy(std::vector<T> values) {
    const auto [kept, owner] = give_to_python(std::move(values));
    return nb::cast(nb::ndarray<nb::numpy, T>(kept->data(), {kept->size()}, owner));
}

template <class Value>
nb::object column(const tasks::Recording& recording, Value&& value) {
    std::vector<decltype(value(recording.tasks().front()))> values;
    values.reserve(recording.tasks().size());
    for (const auto& task : recording.tasks()) values.push_back(value(task));
    return to_numpy(std::move(values));
}

/// Names in the order in which they first occur, and the index of each task's.
nb::tuple names_of(const tasks::Recording& recording) {
    std::map<std::string, index_t> indices;
    nb::list names;
    const auto index_of = [&](const tasks::Recording::Task& task) {
        const auto [found, is_new] =
            indices.try_emplace(task.label.name, static_cast<index_t>(indices.size()));
        if (is_new) names.append(found->first);
        return found->second;
    };
    nb::object kinds = column(recording, index_of);
    return nb::make_tuple(nb::tuple(names), kinds);
}

nb::tuple record_tasks(const std::string& what, const std::vector<index_t>& sizes, index_t itemsize,
                       int threads, int processors) {
    static const std::map<std::string, gp::Operation> operations{
        {"fit", gp::Operation::fit},
        {"predict", gp::Operation::predict},
        {"variance", gp::Operation::variance},
        {"covariance", gp::Operation::covariance}};
    const auto operation = operations.find(what);
    if (operation == operations.end()) throw InvalidArgument("no such operation");
    if (sizes.size() != 6 || !std::ranges::all_of(sizes, [](index_t size) { return size >= 0; }))
        throw InvalidArgument("expected six sizes that are not negative");
    if (threads < 1 || processors < 1) throw InvalidArgument("there must be a thread");
    const gp::Sizes as_named{sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]};
    tasks::Recording recording(threads, processors);
    {
        const nb::gil_scoped_release no_gil;
        if (itemsize == sizeof(float)) {
            gp::record<float>(operation->second, as_named, recording);
        } else {
            gp::record<double>(operation->second, as_named, recording);
        }
    }
    using Task = tasks::Recording::Task;
    const nb::tuple names = names_of(recording);
    return nb::make_tuple(names[0], names[1],
                          column(recording, [](const Task& task) { return task.label.row; }),
                          column(recording, [](const Task& task) { return task.label.column; }),
                          column(recording, [](const Task& task) { return task.label.work; }),
                          column(recording, [](const Task& task) { return task.bytes; }),
                          column(recording, [](const Task& task) { return task.rank; }),
                          to_numpy(recording.predecessors()), to_numpy(recording.offsets()));
}

template <class T>
std::span<const T> as_span(const VectorIn<T>& values) {
    return {values.data(), values.size()};
}

nb::tuple simulate(const VectorIn<index_t>& ranks, const VectorIn<std::int32_t>& predecessors,
                   const VectorIn<index_t>& offsets, const VectorIn<double>& seconds,
                   const VectorIn<double>& bytes, int threads, double submission, double overhead,
                   double bandwidth) {
    tasks::Schedule schedule;
    {
        const nb::gil_scoped_release no_gil;
        schedule = tasks::simulate({as_span(ranks), as_span(predecessors), as_span(offsets),
                                    as_span(seconds), as_span(bytes)},
                                   {threads, submission, overhead, bandwidth});
    }
    return nb::make_tuple(to_numpy(std::move(schedule.start)), to_numpy(std::move(schedule.end)),
                          to_numpy(std::move(schedule.thread)));
}

nb::object earliest_ends(const VectorIn<std::int32_t>& predecessors,
                         const VectorIn<index_t>& offsets, const VectorIn<double>& seconds) {
    std::vector<double> ends;
    {
        const nb::gil_scoped_release no_gil;
        const std::vector<index_t> ranks(seconds.size(), 0);
        ends = tasks::earliest_ends(
            {ranks, as_span(predecessors), as_span(offsets), as_span(seconds), as_span(seconds)});
    }
    return to_numpy(std::move(ends));
}

}  // namespace

void bind_simulator(nb::module_& module) {
    module.def("record_tasks", &record_tasks, "what"_a, "sizes"_a, "itemsize"_a, "threads"_a,
               "processors"_a);
    module.def("simulate", &simulate, "ranks"_a, "predecessors"_a, "offsets"_a, "seconds"_a,
               "bytes"_a, "threads"_a, "submission"_a, "overhead"_a, "bandwidth"_a);
    module.def("earliest_ends", &earliest_ends, "predecessors"_a, "offsets"_a, "seconds"_a);
}

}  // namespace gprat::bindings
