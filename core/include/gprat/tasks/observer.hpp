#pragma once

#include <span>

#include "gprat/types.hpp"

namespace gprat::tasks {

/// What the work of a task is counted in: pairs of points where covariances are evaluated or
/// differentiated, which take as long as the kernel is complicated.
enum class Unit { flops, pairs };

/// What a task is, for people and pictures: the operation and the tile that it writes.
struct TaskLabel {
    const char* name;  ///< a string literal
    index_t row = 0;
    index_t column = 0;
    double work = 0.0;  ///< 0 where it is next to nothing
    Unit unit = Unit::flops;
};

/// What an observer calls a run that it has kept.
using RunId = index_t;
inline constexpr RunId kNoRun = -1;

/// A task that runs.
struct TaskRun {
    const TaskLabel& label;
    index_t graph;  ///< as the observer numbered it
    index_t task;   ///< its place in the graph's program order, from 0
    int thread;
    /// The predecessor that was the last to end. None if all had ended when the task was added. On
    /// one thread, where tasks run as they are added, the one before.
    RunId released_by;
    double start = 0.0;  ///< for the observer's own use
};

/// Told of the start and end of every task, on the thread that runs it, while others run: must be
/// thread-safe and quick. It watches, never waits and never throws.
class Observer {
public:
    virtual ~Observer() = default;
    /// Gives the new graph, which may use that many threads, a number.
    virtual index_t graph_created(int threads) noexcept = 0;
    /// A graph has a new task, which runs on a worker: called on the thread that adds, before the
    /// task may start.
    virtual void task_added(index_t /*graph*/, index_t /*task*/, const TaskLabel& /*label*/,
                            std::span<const index_t> /*reads*/,
                            std::span<const index_t> /*writes*/) noexcept {}
    virtual void task_started(TaskRun& run) noexcept = 0;
    virtual RunId task_finished(const TaskRun& run) noexcept = 0;
};

}  // namespace gprat::tasks
