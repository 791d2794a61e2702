#pragma once

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

/// Told of the start and end of every task, on the thread that runs it, while others run: must be
/// thread-safe and quick. It watches and never waits.
class Observer {
public:
    virtual ~Observer() = default;
    virtual void task_started(const TaskLabel& label, int thread) = 0;
    virtual void task_finished(const TaskLabel& label, int thread) = 0;
};

}  // namespace gprat::tasks
