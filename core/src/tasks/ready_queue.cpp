#include "gprat/tasks/ready_queue.hpp"

#include <algorithm>

#include "gprat/tasks/task.hpp"

namespace gprat::tasks {

namespace {

bool less_urgent(const TaskGraph::Task* a, const TaskGraph::Task* b) {
    return a->rank != b->rank ? a->rank > b->rank : a->sequence > b->sequence;
}

// Any spread of heaps to look at serves; this one needs no shared state (Marsaglia's xorshift).
std::size_t next_random() {
    thread_local std::uint64_t state =
        0x9E3779B97F4A7C15ULL ^ reinterpret_cast<std::uintptr_t>(&state);
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return static_cast<std::size_t>(state);
}

}  // namespace

ReadyQueue::ReadyQueue(int workers)
    : count_(static_cast<std::size_t>(std::max(1, workers))),
      heaps_(std::make_unique<Heap[]>(count_)) {}

// All tasks may come to lie in one heap.
void ReadyQueue::reserve(std::size_t tasks) {
    constexpr std::size_t kLeast = 64;
    if (tasks <= room_) return;
    const std::size_t room = std::max({tasks, 2 * room_, kLeast});
    for (std::size_t i = 0; i < count_; ++i) {
        const std::lock_guard lock(heaps_[i].mutex);
        heaps_[i].tasks.reserve(room);
    }
    room_ = room;
}

void ReadyQueue::push(TaskGraph::Task* task, std::size_t worker) noexcept {
    Heap& heap = heaps_[worker % count_];
    const std::lock_guard lock(heap.mutex);
    heap.tasks.push_back(task);
    std::push_heap(heap.tasks.begin(), heap.tasks.end(), less_urgent);
    heap.best.store(heap.tasks.front()->rank, std::memory_order_release);
}

TaskGraph::Task* ReadyQueue::pop(std::size_t worker) {
    for (;;) {
        if (auto* task = try_pop(heaps_[most_urgent_heap(worker)])) return task;
        for (std::size_t i = 0; i < count_; ++i)
            if (auto* task = try_pop(heaps_[(worker + i) % count_])) return task;
    }
}

std::size_t ReadyQueue::most_urgent_heap(std::size_t worker) const {
    constexpr std::size_t kExactUpTo = 8;
    const bool exact = count_ <= kExactUpTo;
    std::size_t best = worker % count_;
    for (std::size_t i = 1; i < std::min(count_, kExactUpTo); ++i) {
        const std::size_t other = (exact ? worker + i : next_random()) % count_;
        if (heaps_[other].best.load(std::memory_order_acquire) <
            heaps_[best].best.load(std::memory_order_acquire))
            best = other;
    }
    return best;
}

TaskGraph::Task* ReadyQueue::try_pop(Heap& heap) {
    if (heap.best.load(std::memory_order_acquire) == kEmpty) return nullptr;
    const std::lock_guard lock(heap.mutex);
    if (heap.tasks.empty()) return nullptr;
    std::pop_heap(heap.tasks.begin(), heap.tasks.end(), less_urgent);
    auto* task = heap.tasks.back();
    heap.tasks.pop_back();
    heap.best.store(heap.tasks.empty() ? kEmpty : heap.tasks.front()->rank,
                    std::memory_order_release);
    return task;
}

}  // namespace gprat::tasks
