#include "gprat/tasks/recorder.hpp"

#include <utility>

namespace gprat::tasks {

namespace {

// A thread runs one task at a time, so this is the start of the one that it runs.
thread_local double task_start = 0.0;

std::mutex observer_mutex;
std::shared_ptr<Observer> observer;

}  // namespace

double Recorder::now() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - origin_).count();
}

void Recorder::task_started(const TaskLabel&, int) {
    task_start = now();
}

void Recorder::task_finished(const TaskLabel& label, int thread) {
    const double end = now();
    const std::lock_guard lock(mutex_);
    records_.push_back({label, thread, task_start, end});
}

std::vector<TaskRecord> Recorder::records() const {
    const std::lock_guard lock(mutex_);
    return records_;
}

void set_observer(std::shared_ptr<Observer> next) {
    const std::lock_guard lock(observer_mutex);
    observer = std::move(next);
}

std::shared_ptr<Observer> current_observer() {
    const std::lock_guard lock(observer_mutex);
    return observer;
}

}  // namespace gprat::tasks
