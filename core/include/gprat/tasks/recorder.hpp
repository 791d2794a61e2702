#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <vector>

#include "gprat/tasks/observer.hpp"

namespace gprat::tasks {

/// Times are in seconds since the recorder was made.
struct TaskRecord {
    TaskLabel label;
    int thread;
    double start;
    double end;
};

/// Keeps one record for every task.
class Recorder final : public Observer {
public:
    void task_started(const TaskLabel& label, int thread) override;
    void task_finished(const TaskLabel& label, int thread) override;

    std::vector<TaskRecord> records() const;

private:
    double now() const;

    std::chrono::steady_clock::time_point origin_ = std::chrono::steady_clock::now();
    mutable std::mutex mutex_;
    std::vector<TaskRecord> records_;
};

/// The observer of all graphs that are made from now on; null for none.
void set_observer(std::shared_ptr<Observer> observer);
std::shared_ptr<Observer> current_observer();

}  // namespace gprat::tasks
