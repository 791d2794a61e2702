#include "inspector.hpp"

#include <chrono>
#include <map>
#include <stdexcept>
#include <string_view>
#include <thread>

namespace gprat::stress {

namespace {

// Spreads consecutive numbers over all of the 64 bits (Steele, Lea and Flood 2014, SplitMix).
std::uint64_t mix(std::uint64_t x) {
    x += 0x9E3779B97F4A7C15ULL;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
    return x ^ (x >> 31);
}

std::string text(const tasks::TaskLabel& label) {
    return std::string(label.name) + "(" + std::to_string(label.row) + ", " +
           std::to_string(label.column) + ")";
}

/// What has happened to one piece of data so far in program order.
struct History {
    index_t writer = -1;
    std::vector<index_t> readers;
};

}  // namespace

void Delays::wait(const tasks::TaskRun& run, std::uint64_t moment) const {
    if (!is_on_) return;
    // All tasks of some names are slow, and so is one in eight of the others.
    const auto name = std::hash<std::string_view>{}(run.label.name);
    const auto kind = mix(seed_ ^ name ^ moment);
    const auto one = mix(kind ^ mix(static_cast<std::uint64_t>(run.task)));
    if (kind % 8 != 0 && one % 8 != 0) return;
    std::this_thread::sleep_for(std::chrono::microseconds((one >> 8) % 200));
}

Inspector::Inspector(Delays delays, index_t most_tasks) : delays_(delays), runs_(most_tasks) {}

index_t Inspector::graph_created(int) noexcept {
    graphs_.emplace_back();
    return graphs() - 1;
}

void Inspector::task_added(index_t graph, index_t task, const tasks::TaskLabel& label,
                           std::span<const index_t> reads,
                           std::span<const index_t> writes) noexcept {
    graphs_[graph].push_back(
        {task, text(label), {reads.begin(), reads.end()}, {writes.begin(), writes.end()}});
}

void Inspector::task_started(tasks::TaskRun& run) noexcept {
    delays_.before(run);
    run.start = static_cast<double>(ticket_.fetch_add(1, std::memory_order_relaxed));
}

tasks::RunId Inspector::task_finished(const tasks::TaskRun& run) noexcept {
    const index_t end = ticket_.fetch_add(1, std::memory_order_relaxed);
    const index_t place = runs_ended_.fetch_add(1, std::memory_order_relaxed);
    if (place < std::ssize(runs_))
        runs_[place] = {run.graph, run.task, static_cast<index_t>(run.start), end};
    delays_.after(run);
    return tasks::kNoRun;
}

std::vector<Conflict> Inspector::conflicts() const {
    if (tasks() > std::ssize(runs_)) throw std::length_error("too many tasks for the inspector");
    std::vector<Conflict> found;
    for (index_t graph = 0; graph < graphs(); ++graph) find_conflicts(graph, found);
    return found;
}

void Inspector::find_conflicts(index_t graph, std::vector<Conflict>& found) const {
    std::map<index_t, Run> runs;  // by task; one that was cancelled has none
    for (index_t i = 0; i < tasks(); ++i)
        if (runs_[i].graph == graph) runs.emplace(runs_[i].task, runs_[i]);
    std::map<index_t, std::string> labels;
    std::map<index_t, History> histories;
    const auto check = [&](index_t earlier, index_t later, index_t handle) {
        if (earlier >= 0 && earlier != later && runs.at(earlier).end > runs.at(later).start)
            found.push_back({graph, handle, labels[earlier], labels[later]});
    };
    for (const auto& added : graphs_[graph]) {
        labels[added.task] = added.label;
        if (!runs.contains(added.task)) continue;
        for (const index_t handle : added.reads) {
            check(histories[handle].writer, added.task, handle);
            histories[handle].readers.push_back(added.task);
        }
        for (const index_t handle : added.writes) {
            auto& history = histories[handle];
            check(history.writer, added.task, handle);
            for (const index_t reader : history.readers) check(reader, added.task, handle);
            history = {added.task, {}};
        }
    }
}

}  // namespace gprat::stress
