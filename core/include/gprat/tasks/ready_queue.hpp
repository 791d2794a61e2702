#pragma once

#include <atomic>
#include <cstddef>
#include <limits>
#include <memory>
#include <mutex>
#include <vector>

#include "gprat/tasks/task_graph.hpp"

namespace gprat::tasks {

/// Tasks that are ready, most urgent first: one heap a worker, so that no lock is shared by all.
/// A worker takes the best of its own heap and of a few others (all of them up to eight workers):
/// exact order with few threads, nearly so with many, and stealing is the same operation.
class ReadyQueue {
public:
    explicit ReadyQueue(int workers);

    /// Makes room for so many tasks at a time. Called by one thread, while others push and pop.
    void reserve(std::size_t tasks);

    /// There is room.
    void push(TaskGraph::Task* task, std::size_t worker) noexcept;

    /// Only called when there are at least as many tasks as callers.
    TaskGraph::Task* pop(std::size_t worker);

private:
    static constexpr Rank kEmpty = std::numeric_limits<Rank>::max();

    struct alignas(64) Heap {
        std::mutex mutex;
        std::atomic<Rank> best{kEmpty};
        std::vector<TaskGraph::Task*> tasks;
    };

    std::size_t most_urgent_heap(std::size_t worker) const;
    TaskGraph::Task* try_pop(Heap& heap);

    std::size_t count_;
    std::unique_ptr<Heap[]> heaps_;
    std::size_t room_ = 0;
};

}  // namespace gprat::tasks
