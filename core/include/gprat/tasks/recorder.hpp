#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

#include "gprat/tasks/observer.hpp"

namespace gprat::tasks {

/// Times are in seconds since the recorder was made.
struct TaskRecord {
    TaskLabel label;
    index_t graph;
    RunId released_by;  ///< index of another record, or kNoRun
    int thread;
    double start;
    double end;
};

/// Keeps one record for every task, until it has as many as it may.
///
/// A task that ends takes the next free place by one atomic addition and writes there: no lock, and
/// no allocation but that of a block of places now and then.
class Recorder final : public Observer {
public:
    explicit Recorder(index_t max_tasks);
    ~Recorder() override;
    Recorder(const Recorder&) = delete;
    Recorder& operator=(const Recorder&) = delete;

    index_t graph_created(int threads) noexcept override;
    void task_started(TaskRun& run) noexcept override;
    RunId task_finished(const TaskRun& run) noexcept override;

    /// In the order in which the tasks ended. May be called while tasks run.
    std::vector<TaskRecord> records() const;

    /// Tasks that have ended.
    index_t ended() const { return ended_.load(std::memory_order_acquire); }

    /// Those of them that there was no place for.
    index_t lost() const;

    /// The most threads that a graph could use; 0 if there was none.
    int threads() const { return threads_.load(std::memory_order_acquire); }

    double now() const;

private:
    struct Place;

    Place* place(RunId id) noexcept;

    std::chrono::steady_clock::time_point origin_ = std::chrono::steady_clock::now();
    index_t max_tasks_;
    std::unique_ptr<std::atomic<Place*>[]> blocks_;
    std::atomic<index_t> ended_{0};
    std::atomic<index_t> unplaced_{0};  ///< for want of memory
    std::atomic<index_t> graphs_{0};
    std::atomic<int> threads_{0};
};

/// The observer of all graphs that are made from now on; null for none.
void set_observer(std::shared_ptr<Observer> observer);
std::shared_ptr<Observer> current_observer();

}  // namespace gprat::tasks
