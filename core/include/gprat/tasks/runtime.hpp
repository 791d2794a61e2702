#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>

namespace gprat::tasks {

class WorkerPool;

/// The process-wide asynchronous runtime: a pool of worker threads that starts by itself on first
/// use and can be stopped, restarted, suspended and resumed at any time.
///
/// A thread that runs a graph only adds tasks and waits; the workers compute. So the number of
/// busy threads is the number of workers, whoever calls.
class Runtime {
public:
    static Runtime& instance();

    /// Processors that this process may use: affinity mask and cgroup quota, not those in the box.
    static int default_threads();

    /// Starts `threads` workers (0: `default_threads()`). A running runtime with another number of
    /// threads first finishes its pending work. Neither this nor `stop` is for tasks: they'd wait
    /// for themselves.
    void start(int threads = 0);

    /// Resumes if suspended, waits for pending work, then ends the worker threads. Does nothing
    /// when not running.
    void stop();

    /// No task starts between `suspend` and `resume`; those that run complete.
    void suspend();
    void resume();

    bool is_running() const;
    /// 1 and, in a forked child, one more than in its parent.
    int generation() const { return generation_.load(std::memory_order_relaxed); }

    bool is_suspended() const { return suspended_.load(std::memory_order_acquire); }

    /// Number of workers, or the number that the next start would use.
    int threads() const;

    /// Returns at once unless suspended; then waits for `resume` or until `cancelled` becomes true.
    void wait_while_suspended(const std::atomic<bool>& cancelled);

    /// A claim on the pool: while one exists the runtime doesn't stop.
    class Lease {
    public:
        explicit Lease(Runtime& runtime);
        ~Lease();
        Lease(const Lease&) = delete;
        Lease& operator=(const Lease&) = delete;

        /// Null in a forked child: worker threads don't survive fork().
        WorkerPool* pool() const { return pool_.get(); }

    private:
        Runtime& runtime_;
        std::shared_ptr<WorkerPool> pool_;
    };

private:
    Runtime();
    void start_locked(int threads);
    void stop_locked(std::unique_lock<std::mutex>& lock);

    mutable std::mutex mutex_;
    std::condition_variable idle_;
    std::condition_variable resumed_;
    std::shared_ptr<WorkerPool> pool_;
    int active_leases_ = 0;
    int requested_threads_ = 0;
    bool stopping_ = false;
    std::atomic<bool> suspended_{false};
    std::atomic<int> generation_{1};
};

}  // namespace gprat::tasks
