#include "gprat/tasks/runtime.hpp"

#include <pthread.h>

#include <algorithm>
#include <chrono>

#include "gprat/error.hpp"
#include "gprat/tasks/task_graph.hpp"
#include "gprat/tasks/worker_pool.hpp"

namespace gprat::tasks {

// Never destroyed: worker threads may still be parked when the process ends.
Runtime& Runtime::instance() {
    static auto* runtime = new Runtime;
    return *runtime;
}

Runtime::Runtime() {
    pthread_atfork([] { instance().mutex_.lock(); }, [] { instance().mutex_.unlock(); },
                   [] {
                       auto& runtime = instance();
                       // The pool's threads don't exist here, so it can't be destroyed either.
                       if (runtime.pool_) new std::shared_ptr<WorkerPool>(std::move(runtime.pool_));
                       runtime.pool_.reset();
                       runtime.active_leases_ = 0;
                       runtime.stopping_ = false;
                       runtime.generation_.fetch_add(1, std::memory_order_relaxed);
                       runtime.mutex_.unlock();
                   });
}

int Runtime::default_threads() {
    return std::max(1, available_processors());
}

void Runtime::start(int threads) {
    if (threads < 0) throw InvalidArgument("the number of threads must be at least 1");
    std::unique_lock lock(mutex_);
    const int wanted = threads > 0 ? threads : default_threads();
    if (pool_ && pool_->threads() == wanted && !stopping_) return;
    stop_locked(lock);
    requested_threads_ = wanted;
    start_locked(wanted);
}

void Runtime::start_locked(int threads) {
    if (generation() == 1) pool_ = std::make_shared<WorkerPool>(threads);
}

void Runtime::stop() {
    std::unique_lock lock(mutex_);
    stop_locked(lock);
}

void Runtime::stop_locked(std::unique_lock<std::mutex>& lock) {
    if (TaskGraph::is_in_task())
        throw InvalidArgument(
            "the threads cannot be changed or stopped from inside a computation, such as by a "
            "kernel that is evaluated in Python. Do it outside");
    idle_.wait(lock, [this] { return !stopping_; });
    // Suspended work can't finish, and stopping waits for it.
    suspended_.store(false, std::memory_order_release);
    resumed_.notify_all();
    if (!pool_) return;
    stopping_ = true;
    idle_.wait(lock, [this] { return active_leases_ == 0; });
    pool_.reset();
    stopping_ = false;
    idle_.notify_all();
}

void Runtime::suspend() {
    suspended_.store(true, std::memory_order_release);
}

void Runtime::resume() {
    {
        const std::lock_guard lock(mutex_);
        suspended_.store(false, std::memory_order_release);
    }
    resumed_.notify_all();
}

bool Runtime::is_running() const {
    const std::lock_guard lock(mutex_);
    return pool_ != nullptr;
}

int Runtime::threads() const {
    const std::lock_guard lock(mutex_);
    if (pool_) return pool_->threads();
    return requested_threads_ > 0 ? requested_threads_ : default_threads();
}

void Runtime::wait_while_suspended(const std::atomic<bool>& cancelled) {
    if (!is_suspended()) return;
    std::unique_lock lock(mutex_);
    while (is_suspended() && !cancelled.load(std::memory_order_acquire))
        resumed_.wait_for(lock, std::chrono::milliseconds(20));
}

Runtime::Lease::Lease(Runtime& runtime) : runtime_(runtime) {
    std::unique_lock lock(runtime_.mutex_);
    runtime_.idle_.wait(lock, [this] { return !runtime_.stopping_; });
    if (!runtime_.pool_) {
        runtime_.start_locked(runtime_.requested_threads_ > 0 ? runtime_.requested_threads_
                                                              : default_threads());
    }
    pool_ = runtime_.pool_;
    ++runtime_.active_leases_;
}

Runtime::Lease::~Lease() {
    pool_.reset();
    {
        const std::lock_guard lock(runtime_.mutex_);
        --runtime_.active_leases_;
    }
    runtime_.idle_.notify_all();
}

}  // namespace gprat::tasks
