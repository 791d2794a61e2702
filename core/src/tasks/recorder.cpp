#include "gprat/tasks/recorder.hpp"

#include <algorithm>
#include <mutex>
#include <new>
#include <numeric>
#include <utility>

namespace gprat::tasks {

namespace {

constexpr index_t kPlacesPerBlock = 4096;

std::mutex observer_mutex;
std::shared_ptr<Observer> observer;
std::atomic<bool> there_is_observer{false};

std::size_t blocks_for(index_t tasks) {
    return static_cast<std::size_t>((tasks + kPlacesPerBlock - 1) / kPlacesPerBlock);
}

}  // namespace

struct Recorder::Place {
    TaskRecord record;
    std::atomic<bool> is_written;
};

Recorder::Recorder(index_t max_tasks)
    : max_tasks_(max_tasks),
      blocks_(std::make_unique<std::atomic<Place*>[]>(blocks_for(max_tasks))) {}

Recorder::~Recorder() {
    for (std::size_t i = 0; i < blocks_for(max_tasks_); ++i) delete[] blocks_[i].load();
}

double Recorder::now() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - origin_).count();
}

index_t Recorder::graph_created(int threads) noexcept {
    int most = threads_.load(std::memory_order_relaxed);
    while (most < threads && !threads_.compare_exchange_weak(most, threads)) {
    }
    return graphs_.fetch_add(1, std::memory_order_relaxed);
}

void Recorder::task_started(TaskRun& run) noexcept {
    run.start = now();
}

RunId Recorder::task_finished(const TaskRun& run) noexcept {
    const double end = now();
    const RunId id = ended_.fetch_add(1, std::memory_order_acq_rel);
    if (id >= max_tasks_) return kNoRun;
    Place* const mine = place(id);
    if (mine == nullptr) {
        unplaced_.fetch_add(1, std::memory_order_relaxed);
        return kNoRun;
    }
    mine->record = {run.label, run.graph, run.released_by, run.thread, run.start, end};
    mine->is_written.store(true, std::memory_order_release);
    return id;
}

/// Whoever comes first to a block makes it; null if there is no memory for it.
Recorder::Place* Recorder::place(RunId id) noexcept {
    auto& block = blocks_[static_cast<std::size_t>(id / kPlacesPerBlock)];
    Place* places = block.load(std::memory_order_acquire);
    if (places == nullptr) {
        Place* const made = new (std::nothrow) Place[kPlacesPerBlock]();
        if (block.compare_exchange_strong(places, made, std::memory_order_acq_rel))
            places = made;
        else
            delete[] made;
    }
    return places == nullptr ? nullptr : places + id % kPlacesPerBlock;
}

index_t Recorder::lost() const {
    return std::max<index_t>(0, ended() - max_tasks_) + unplaced_.load(std::memory_order_relaxed);
}

std::vector<TaskRecord> Recorder::records() const {
    // Backwards: a task that is seen has been released by one that is written by now.
    std::vector<RunId> ids;
    for (RunId id = std::min(ended(), max_tasks_) - 1; id >= 0; --id) {
        const Place* const places =
            blocks_[static_cast<std::size_t>(id / kPlacesPerBlock)].load(std::memory_order_acquire);
        if (places && places[id % kPlacesPerBlock].is_written.load(std::memory_order_acquire))
            ids.push_back(id);
    }
    const auto record_of = [this](RunId id) -> const TaskRecord& {
        return blocks_[static_cast<std::size_t>(id / kPlacesPerBlock)]
            .load(std::memory_order_relaxed)[id % kPlacesPerBlock]
            .record;
    };
    std::sort(ids.begin(), ids.end(), [&](RunId a, RunId b) {
        return std::pair(record_of(a).end, a) < std::pair(record_of(b).end, b);
    });
    std::vector<TaskRecord> records;
    records.reserve(ids.size());
    std::vector<RunId> index_of(ids.empty() ? 0 : *std::max_element(ids.begin(), ids.end()) + 1,
                                kNoRun);
    for (const RunId id : ids) {
        index_of[id] = static_cast<RunId>(records.size());
        records.push_back(record_of(id));
        auto& released_by = records.back().released_by;
        if (released_by != kNoRun) released_by = index_of[released_by];
    }
    return records;
}

void set_observer(std::shared_ptr<Observer> next) {
    const std::lock_guard lock(observer_mutex);
    observer = std::move(next);
    there_is_observer.store(observer != nullptr, std::memory_order_release);
}

std::shared_ptr<Observer> current_observer() {
    // Mostly there is none, and graphs on all threads ask.
    if (!there_is_observer.load(std::memory_order_acquire)) return nullptr;
    const std::lock_guard lock(observer_mutex);
    return observer;
}

}  // namespace gprat::tasks
