#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gprat/types.hpp"

namespace gprat::tasks {

/// Tasks in program order. Task i waits for `predecessors[offsets[i]]` to
/// `predecessors[offsets[i + 1] - 1]`, all of them before it.
struct TimedGraph {
    std::span<const index_t> ranks;
    std::span<const std::int32_t> predecessors;
    std::span<const index_t> offsets;
    std::span<const double> seconds;
    std::span<const double> bytes;
};

/// The part of a machine that tasks share.
struct SimulatedMachine {
    int threads;
    double submission = 0.0;  ///< seconds that the adding thread takes for a task
    double overhead = 0.0;    ///< seconds of scheduling that a worker spends on a task
    double bandwidth = 0.0;   ///< bytes a second of the memory, for all workers; 0: without limit
};

struct Schedule {
    std::vector<double> start;
    std::vector<double> end;
    std::vector<std::int32_t> thread;
};

/// When and where each task would run, by the rules of TaskGraph: one thread adds the tasks in
/// program order while workers take the most urgent of those that are ready; no more are added
/// while too many wait; one thread alone runs them as they come. With k workers busy when it
/// starts, a task takes no less than its bytes at a k-th of the bandwidth.
///
/// Takes the workers' queues for a single one. Throws InvalidArgument where lengths differ, edges
/// do not lead from earlier to later tasks or a number is negative.
Schedule simulate(const TimedGraph& graph, const SimulatedMachine& machine);

/// The end of each task if every one started as soon as those before it are done: the longest path
/// to it.
std::vector<double> earliest_ends(const TimedGraph& graph);

}  // namespace gprat::tasks
