#pragma once

#include <memory>

namespace gprat::tasks {

/// Worker threads, grouped in arenas of at most the number of threads that a caller asks for.
/// The only place that knows oneTBB.
class WorkerPool {
public:
    explicit WorkerPool(int threads);
    ~WorkerPool();
    WorkerPool(const WorkerPool&) = delete;
    WorkerPool& operator=(const WorkerPool&) = delete;

    int threads() const { return threads_; }

    class Arena;

    /// The arena in which at most `threads` workers are active at a time; shared by its callers.
    /// The first call starts all threads of the pool. Throws TooFewThreads where the system doesn't
    /// give as many.
    std::shared_ptr<Arena> arena(int threads);

private:
    struct Implementation;
    int threads_;
    std::unique_ptr<Implementation> implementation_;
};

class WorkerPool::Arena {
public:
    explicit Arena(int threads);
    ~Arena();

    int threads() const { return threads_; }

    /// Lets some worker of this arena call `work(context)` soon. Where there's no memory for that
    /// it throws, and the call may come nevertheless.
    void enqueue(void (*work)(void*), std::shared_ptr<void> context);

    /// Index in [0, threads) of the calling worker.
    static int current_worker();

private:
    struct Implementation;
    int threads_;
    std::unique_ptr<Implementation> implementation_;
};

/// Processors that this process may use, by affinity mask and cgroup quota.
int available_processors();

}  // namespace gprat::tasks
