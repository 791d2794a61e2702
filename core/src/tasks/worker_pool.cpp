#include "gprat/tasks/worker_pool.hpp"

#include <tbb/global_control.h>
#include <tbb/info.h>
#include <tbb/task_arena.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "gprat/error.hpp"

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>

extern "C" {
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif

namespace gprat::tasks {

namespace {

#if defined(__SANITIZE_THREAD__)

/// Tells the thread sanitizer what it can't see, oneTBB not being compiled with it: what comes
/// before `enqueue` happens before the visit that it brings about, and before that one only.
class Handover {
public:
    Handover() : token_(new char) { __tsan_release(token_); }
    void arrive() const {
        __tsan_acquire(token_);
        delete token_;
    }

private:
    char* token_;
};

/// While it lives, what this thread writes is none of the sanitizer's business: oneTBB's headers
/// make an object that its library then hands over.
struct WritesOfOneTBB {
    WritesOfOneTBB() { AnnotateIgnoreWritesBegin(__FILE__, __LINE__); }
    ~WritesOfOneTBB() { AnnotateIgnoreWritesEnd(__FILE__, __LINE__); }
};

#else

struct Handover {
    void arrive() const {}
};
struct WritesOfOneTBB {
    WritesOfOneTBB() {}
};

#endif

}  // namespace

struct WorkerPool::Arena::Implementation {
    // No slot is reserved for callers: they wait, and all slots are for workers.
    explicit Implementation(int threads) : arena(threads, /*reserved_for_masters=*/0) {
        arena.initialize();
    }
    tbb::task_arena arena;
};

WorkerPool::Arena::Arena(int threads)
    : threads_(threads), implementation_(std::make_unique<Implementation>(threads)) {}

WorkerPool::Arena::~Arena() = default;

void WorkerPool::Arena::enqueue(void (*work)(void*), std::shared_ptr<void> context) {
    const Handover handover;
    const WritesOfOneTBB writes;
    implementation_->arena.enqueue([work, context = std::move(context), handover] {
        handover.arrive();
        work(context.get());
    });
}

int WorkerPool::Arena::current_worker() {
    return tbb::this_task_arena::current_thread_index();
}

namespace {

/// Starts so many threads at a time and lets them end, to see whether the system has them to give:
/// oneTBB ends the process, or waits for ever, where it has not.
void try_threads(int threads) {
    std::mutex gate;
    std::vector<std::jthread> trial;
    trial.reserve(static_cast<std::size_t>(threads));
    const std::lock_guard closed(gate);  // it opens before they are joined
    try {
        while (std::ssize(trial) < threads)
            trial.emplace_back([&gate] { const std::lock_guard through(gate); });
    } catch (const std::system_error&) {
        throw TooFewThreads(threads, static_cast<int>(trial.size()));
    }
}

/// Threads that are expected, and wait for each other: so each of them is another one.
class Muster {
public:
    explicit Muster(int threads) : missing_(threads) {}

    void arrive() {
        std::unique_lock lock(mutex_);
        if (--missing_ <= 0) all_are_here_.notify_all();
        wait(lock);
    }
    void wait() {
        std::unique_lock lock(mutex_);
        wait(lock);
    }

private:
    // Others in this process may have oneTBB's threads: what fewer can do must not be held up.
    static constexpr auto kLongest = std::chrono::seconds(1);

    void wait(std::unique_lock<std::mutex>& lock) {
        if (!all_are_here_.wait_for(lock, kLongest, [this] { return missing_ <= 0; })) missing_ = 0;
        all_are_here_.notify_all();
    }

    std::mutex mutex_;
    std::condition_variable all_are_here_;
    int missing_;
};

}  // namespace

struct WorkerPool::Implementation {
    // oneTBB counts the calling thread among its threads; here the caller only waits.
    explicit Implementation(int threads)
        : scheduler(tbb::attach{}),
          parallelism(tbb::global_control::max_allowed_parallelism,
                      static_cast<std::size_t>(threads) + 1) {}

    // Joins the worker threads; they would otherwise linger after stop().
    ~Implementation() {
        arenas.clear();
        tbb::finalize(scheduler, std::nothrow);
    }

    std::shared_ptr<Arena> arena(int threads) {
        auto& arena = arenas[threads];
        if (!arena) arena = std::make_shared<Arena>(threads);
        return arena;
    }

    // oneTBB would start them one by one as there is work. If memory ended then, it would believe
    // ever after that they run, and computations would wait for them.
    void start(int threads) {
        try_threads(threads);
        const auto muster = std::make_shared<Muster>(threads);
        const auto everybody = arena(threads);
        for (int i = 0; i < threads; ++i)
            everybody->enqueue([](void* context) { static_cast<Muster*>(context)->arrive(); },
                               muster);
        muster->wait();
        are_running = true;
    }

    tbb::task_scheduler_handle scheduler;
    tbb::global_control parallelism;
    std::mutex mutex;
    bool are_running = false;
    std::map<int, std::shared_ptr<Arena>> arenas;
};

WorkerPool::WorkerPool(int threads)
    : threads_(threads), implementation_(std::make_unique<Implementation>(threads)) {}

WorkerPool::~WorkerPool() = default;

std::shared_ptr<WorkerPool::Arena> WorkerPool::arena(int threads) {
    const std::lock_guard lock(implementation_->mutex);
    if (!implementation_->are_running) implementation_->start(threads_);
    return implementation_->arena(threads);
}

int available_processors() {
    return tbb::info::default_concurrency();
}

}  // namespace gprat::tasks
