#include "gprat/tasks/task_graph.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <new>
#include <optional>
#include <thread>

#include "gprat/error.hpp"
#include "gprat/tasks/access_table.hpp"
#include "gprat/tasks/floating_point_mode.hpp"
#include "gprat/tasks/ready_queue.hpp"
#include "gprat/tasks/recorder.hpp"
#include "gprat/tasks/recording.hpp"
#include "gprat/tasks/runtime.hpp"
#include "gprat/tasks/worker_pool.hpp"

namespace gprat::tasks {

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kPollInterval = std::chrono::milliseconds(50);

thread_local int tasks_on_this_thread = 0;

/// A graph inside a task makes no claim on the pool: that of the task has one. Tasks may make many
/// small graphs, and would meet at the lock.
std::optional<Runtime::Lease> claim_pool() {
    if (TaskGraph::is_in_task()) return std::nullopt;
    return std::optional<Runtime::Lease>(std::in_place, Runtime::instance());
}

int worker_count(const RunOptions& options, const std::optional<Runtime::Lease>& lease) {
    const WorkerPool* const pool = lease ? lease->pool() : nullptr;
    if (pool == nullptr) return 1;
    return options.threads > 0 ? std::min(options.threads, pool->threads()) : pool->threads();
}

/// What one worker has done. It alone writes, so that counting takes no more than a store.
struct alignas(64) WorkOfWorker {
    std::atomic<double> flops{0.0};
    std::atomic<double> pairs{0.0};

    void add(const TaskLabel& label) {
        auto& sum = label.unit == Unit::flops ? flops : pairs;
        sum.store(sum.load(std::memory_order_relaxed) + label.work, std::memory_order_relaxed);
    }
};

}  // namespace

/// Visits of workers that were asked for, one a ready task, and not yet begun. It outlives the
/// graph: oneTBB may keep a visit though it could not say so, having no memory. Who claims none
/// has come in vain, and must not look at the graph, which may be gone.
class TaskGraph::Visits {
public:
    explicit Visits(Scheduler& scheduler) : scheduler_(scheduler) {}

    void add() { due_.fetch_add(1, std::memory_order_release); }

    bool claim() {
        index_t due = due_.load(std::memory_order_relaxed);
        while (due > 0)
            if (due_.compare_exchange_weak(due, due - 1, std::memory_order_acquire,
                                           std::memory_order_relaxed))
                return true;
        return false;
    }

    /// What a worker is called with.
    static void visit(void* visits);

private:
    Scheduler& scheduler_;
    alignas(64) std::atomic<index_t> due_{0};
};

struct TaskGraph::Scheduler {
    explicit Scheduler(const RunOptions& options_)
        : options(options_),
          lease(claim_pool()),
          workers(worker_count(options, lease)),
          arena(workers > 1 ? lease->pool()->arena(workers) : nullptr),
          ready(workers),
          visits(arena ? std::make_shared<Visits>(*this) : nullptr),
          work_done(static_cast<std::size_t>(workers)),
          observer(options.observer ? options.observer : current_observer()),
          graph(observer ? observer->graph_created(workers) : 0),
          next_poll(Clock::now() + kPollInterval) {}

    // The thread that adds.
    void connect(Task& task, std::span<const Handle> reads, std::span<const Handle> writes);
    void throttle();
    void wait_until(index_t outstanding_at_most);
    void wait_inline_while_suspended();
    void drain();
    void poll();
    WorkDone total_work_done() const;

    // Any thread.
    index_t make_ready(Task* task, std::size_t worker) noexcept;
    void work(std::size_t worker);
    index_t finish(Task* task, RunId run, std::size_t worker);
    RunId execute(const TaskLabel& label, index_t sequence, RunId released_by, int worker,
                  const std::function<void()>& body);
    void fail(std::exception_ptr error);

    RunOptions options;
    std::optional<Runtime::Lease> lease;
    int workers;
    std::shared_ptr<WorkerPool::Arena> arena;
    ReadyQueue ready;
    std::shared_ptr<Visits> visits;
    std::vector<WorkOfWorker> work_done;
    std::shared_ptr<Observer> observer;
    index_t graph;
    Clock::time_point next_poll;

    AccessTable<TaskReference> accesses;
    RunId last_inline = kNoRun;
    index_t added = 0;
    std::atomic<index_t> outstanding{0};
    std::atomic<int> active_workers{0};
    std::atomic<index_t> wake_at{-1};
    std::atomic<bool> cancelled{false};

    std::mutex mutex;
    std::condition_variable progress;
    std::exception_ptr error;
};

TaskGraph::TaskGraph(const RunOptions& options)
    : recording_(options.recording),
      scheduler_(recording_ == nullptr ? std::make_unique<Scheduler>(options) : nullptr),
      inline_(scheduler_ != nullptr && scheduler_->arena == nullptr) {}

TaskGraph::~TaskGraph() {
    if (scheduler_ == nullptr || inline_) return;
    cancel();
    scheduler_->options.should_cancel = nullptr;
    scheduler_->options.on_progress = nullptr;
    scheduler_->drain();
}

int TaskGraph::threads() const {
    return recording_ != nullptr ? recording_->threads() : scheduler_->workers;
}

bool TaskGraph::is_in_task() {
    return tasks_on_this_thread > 0;
}

int TaskGraph::processors() const {
    return recording_ != nullptr ? recording_->processors() : Runtime::default_threads();
}

Handle TaskGraph::new_handles(index_t count, double bytes_each) {
    if (recording_ != nullptr) return recording_->new_handles(count, bytes_each);
    return inline_ ? 0 : scheduler_->accesses.new_handles(count);
}

void TaskGraph::record(const TaskLabel& label, Rank rank, std::span<const Handle> reads,
                       std::span<const Handle> writes) {
    recording_->add(label, rank, reads, writes);
}

void TaskGraph::run_inline(const TaskLabel& label, const std::function<void()>& function) {
    auto& scheduler = *scheduler_;
    if (Clock::now() >= scheduler.next_poll) scheduler.poll();
    scheduler.wait_inline_while_suspended();
    scheduler.last_inline =
        scheduler.execute(label, scheduler.added++, scheduler.last_inline, 0, function);
}

void TaskGraph::submit(std::unique_ptr<Task> task, std::span<const Handle> reads,
                       std::span<const Handle> writes) {
    auto& scheduler = *scheduler_;
    scheduler.throttle();
    scheduler.ready.reserve(static_cast<std::size_t>(scheduler.outstanding.load()) + 1);
    task->sequence = scheduler.added++;
    if (scheduler.observer)
        scheduler.observer->task_added(scheduler.graph, task->sequence, task->label, reads, writes);
    scheduler.outstanding.fetch_add(1, std::memory_order_relaxed);
    Task* added = task.release();
    try {
        scheduler.connect(*added, reads, writes);
    } catch (...) {
        // Others may lead to it by now: it stays, and is skipped.
        scheduler.fail(std::current_exception());
    }
    if (added->pending.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
    const auto worker = static_cast<std::size_t>(added->sequence);
    if (scheduler.make_ready(added, worker) == 0) return;
    // Nobody comes for it. The graph being cancelled, this thread may pass for a worker.
    scheduler.fail(std::make_exception_ptr(std::bad_alloc()));
    scheduler.work(worker);
}

void TaskGraph::run() {
    if (recording_ != nullptr) return;
    auto& scheduler = *scheduler_;
    if (!inline_) scheduler.drain();
    if (scheduler.options.on_progress) scheduler.options.on_progress(scheduler.total_work_done());
    const std::lock_guard lock(scheduler.mutex);
    if (scheduler.error) std::rethrow_exception(std::exchange(scheduler.error, nullptr));
    if (scheduler.cancelled) throw Cancelled();
}

void TaskGraph::cancel() {
    if (scheduler_ == nullptr) return;
    scheduler_->cancelled.store(true, std::memory_order_release);
}

void TaskGraph::Scheduler::connect(Task& task, std::span<const Handle> reads,
                                   std::span<const Handle> writes) {
    task.incoming.reserve(accesses.most_edges(reads, writes));
    accesses.connect(TaskReference(&task), reads, writes,
                     [&task](const TaskReference& earlier) { earlier->precede(task); });
}

void TaskGraph::Scheduler::throttle() {
    if (outstanding.load(std::memory_order_relaxed) >= kMaxOutstanding)
        wait_until(kMaxOutstanding / 2);
    // A look at the clock for every task would cost as much as scheduling it.
    if (added % 64 == 0 && Clock::now() >= next_poll) poll();
}

void TaskGraph::Scheduler::wait_until(index_t outstanding_at_most) {
    const auto done = [&] { return outstanding.load() <= outstanding_at_most; };
    wake_at.store(outstanding_at_most);
    std::unique_lock lock(mutex);
    while (!progress.wait_for(lock, kPollInterval, done)) {
        lock.unlock();
        poll();
        lock.lock();
    }
    wake_at.store(-1);
}

// A worker that has ended the last task may still be on its way out of `work`.
void TaskGraph::Scheduler::drain() {
    wait_until(0);
    while (active_workers.load(std::memory_order_acquire) > 0) std::this_thread::yield();
}

// While suspended, the thread that adds is the one that would compute.
void TaskGraph::Scheduler::wait_inline_while_suspended() {
    while (Runtime::instance().is_suspended() && !cancelled) {
        std::this_thread::sleep_for(kPollInterval);
        poll();
    }
}

void TaskGraph::Scheduler::poll() {
    if (options.on_progress) options.on_progress(total_work_done());
    if (options.should_cancel && options.should_cancel())
        cancelled.store(true, std::memory_order_release);
    next_poll = Clock::now() + kPollInterval;
}

WorkDone TaskGraph::Scheduler::total_work_done() const {
    WorkDone total;
    for (const auto& worker : work_done) {
        total.flops += worker.flops.load(std::memory_order_relaxed);
        total.pairs += worker.pairs.load(std::memory_order_relaxed);
    }
    return total;
}

/// Asks a worker to come for it. Returns how many visits the caller owes in its stead: one if there
/// is no memory for asking, and nobody has come all the same.
index_t TaskGraph::Scheduler::make_ready(Task* task, std::size_t worker) noexcept {
    ready.push(task, worker);
    visits->add();
    try {
        arena->enqueue(&Visits::visit, visits);
    } catch (...) {
        return visits->claim() ? 1 : 0;
    }
    return 0;
}

void TaskGraph::Visits::visit(void* context) {
    auto& visits = *static_cast<Visits*>(context);
    if (visits.claim())
        visits.scheduler_.work(static_cast<std::size_t>(WorkerPool::Arena::current_worker()));
}

/// One visit of a worker: takes the most urgent task, and goes on as long as tasks that it ends
/// leave others to it. Each visit stands for exactly one ready task, and each that is left for one
/// more, so `pop` always finds.
void TaskGraph::Scheduler::work(std::size_t worker) {
    active_workers.fetch_add(1, std::memory_order_relaxed);
    for (index_t due = 1; due > 0; --due) {
        Task* task = ready.pop(worker);
        const RunId run = execute(task->label, task->sequence, task->released_by,
                                  static_cast<int>(worker), [task] { task->execute(); });
        due += finish(task, run, worker);
    }
    // The last act of a visit: afterwards the graph may be gone.
    active_workers.fetch_sub(1, std::memory_order_release);
}

/// Releases the successors. The first of them that is ready is left for this worker, and so are
/// those that nobody else can be asked to come for: returns their number.
index_t TaskGraph::Scheduler::finish(Task* task, RunId run, std::size_t worker) {
    index_t left = 0;
    auto* edge = task->successors.exchange(Task::closed(), std::memory_order_acq_rel);
    while (edge != nullptr) {
        // The edge lives in the successor, which may be gone once it has been released.
        auto* const next = edge->next;
        Task* const successor = edge->successor;
        if (successor->pending.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            successor->released_by = run;
            if (left == 0) {
                ready.push(successor, worker);
                left = 1;
            } else {
                left += make_ready(successor, worker);
            }
        }
        edge = next;
    }
    task->release();
    if (outstanding.fetch_sub(1) - 1 <= wake_at.load()) {
        const std::lock_guard lock(mutex);
        progress.notify_all();
    }
    return left;
}

RunId TaskGraph::Scheduler::execute(const TaskLabel& label, index_t sequence, RunId released_by,
                                    int worker, const std::function<void()>& body) {
    Runtime::instance().wait_while_suspended(cancelled);
    if (cancelled.load(std::memory_order_acquire)) return kNoRun;
    TaskRun run{label, graph, sequence, worker, released_by};
    if (observer) observer->task_started(run);
    ++tasks_on_this_thread;
    try {
        const FlushSubnormals flush;
        body();
    } catch (...) {
        fail(std::current_exception());
    }
    --tasks_on_this_thread;
    work_done[static_cast<std::size_t>(worker)].add(label);
    return observer ? observer->task_finished(run) : kNoRun;
}

void TaskGraph::Scheduler::fail(std::exception_ptr failure) {
    const std::lock_guard lock(mutex);
    if (!error) error = std::move(failure);
    cancelled.store(true, std::memory_order_release);
}

}  // namespace gprat::tasks
