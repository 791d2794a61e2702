#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

#include "gprat/tasks/observer.hpp"
#include "gprat/types.hpp"

namespace gprat::tasks {

/// Names a piece of data (a tile, a block of a vector) whose accesses order the tasks.
using Handle = index_t;

/// Smaller ranks run first among the tasks that are ready.
using Rank = index_t;

/// Work that a graph has done so far.
struct WorkDone {
    double flops = 0.0;
    double pairs = 0.0;
};

/// Tasks that may wait at a time: bounds the memory of the graph, far above any lookahead's need.
inline constexpr index_t kMaxOutstanding = 1 << 16;

class Recording;

struct RunOptions {
    int threads = 0;  ///< at most this many workers; 0: all of the runtime
    /// Called now and then on the thread that adds and runs; true cancels the graph.
    std::function<bool()> should_cancel = {};
    /// Told of this graph's tasks in place of the observer of all graphs.
    std::shared_ptr<Observer> observer = nullptr;
    /// Where the graph is written down instead of being run; null: it is run.
    Recording* recording = nullptr;
    /// Called as often as `should_cancel`, just before, and at the end.
    std::function<void(const WorkDone&)> on_progress = {};
    /// At most so many blocks of columns in memory at a time, where an operation takes them one
    /// after the other; 0: one more than workers. Results are the same.
    index_t blocks = 0;
};

/// Tasks in program order, run as a dataflow graph: edges are inferred from what each task reads
/// and writes (read after write, write after read, write after write), and tasks start while later
/// ones are still being added. The first exception cancels what has not started and is rethrown by
/// `run`. With one thread, tasks run inside `add`, in program order, and no edges are kept. So they
/// do in a graph that a task of another one makes: its thread is a worker, and were all of them to
/// wait for workers, none would come.
///
/// `new_handles`, `add` and `run` belong to the one thread that owns the graph; `cancel` to all.
class TaskGraph {
public:
    explicit TaskGraph(const RunOptions& options = {});
    /// Cancels and waits for what still runs.
    ~TaskGraph();
    TaskGraph(const TaskGraph&) = delete;
    TaskGraph& operator=(const TaskGraph&) = delete;

    /// The first of `count` new consecutive handles, of data of so many bytes each: only a
    /// recording asks for their size.
    Handle new_handles(index_t count, double bytes_each = 0.0);

    /// `function` may hold references to whatever lives until `run` returns.
    template <class Function>
    void add(const TaskLabel& label, Rank rank, std::span<const Handle> reads,
             std::span<const Handle> writes, Function&& function) {
        if (recording_ != nullptr) {
            record(label, rank, reads, writes);
        } else if (is_inline()) {
            run_inline(label, std::ref(function));
        } else {
            using Body = std::decay_t<Function>;
            submit(std::make_unique<TaskOf<Body>>(label, rank, std::forward<Function>(function)),
                   reads, writes);
        }
    }

    template <class Function>
    void add(const TaskLabel& label, Rank rank, std::initializer_list<Handle> reads,
             std::initializer_list<Handle> writes, Function&& function) {
        add(label, rank, std::span(reads.begin(), reads.size()),
            std::span(writes.begin(), writes.size()), std::forward<Function>(function));
    }

    /// Waits until every task is done; rethrows the first exception, or Cancelled.
    void run();

    void cancel();

    /// Workers that the graph may use.
    int threads() const;

    /// Whether the calling thread is at a task, of whatever graph.
    static bool is_in_task();

    /// Processors of the machine, whatever the number of workers.
    int processors() const;

    struct Task;
    class TaskReference;

private:
    struct Scheduler;
    class Visits;

    template <class Body>
    struct TaskOf;

    bool is_inline() const { return inline_; }
    void record(const TaskLabel& label, Rank rank, std::span<const Handle> reads,
                std::span<const Handle> writes);
    void run_inline(const TaskLabel& label, const std::function<void()>& function);
    void submit(std::unique_ptr<Task> task, std::span<const Handle> reads,
                std::span<const Handle> writes);

    Recording* recording_;
    std::unique_ptr<Scheduler> scheduler_;  ///< null while recording
    bool inline_;
};

}  // namespace gprat::tasks

#include "gprat/tasks/task.hpp"
