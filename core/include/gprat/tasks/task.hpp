#pragma once

#include <atomic>
#include <utility>
#include <vector>

#include "gprat/tasks/task_graph.hpp"

namespace gprat::tasks {

/// One node of the graph. Its edges are linked lists threaded through the successors' own storage,
/// so that adding an edge allocates nothing and takes no lock.
struct TaskGraph::Task {
    struct Edge {
        Task* successor;
        Edge* next;
    };

    Task(const TaskLabel& label_, Rank rank_) : label(label_), rank(rank_) {}
    virtual ~Task() = default;
    Task(const Task&) = delete;
    Task& operator=(const Task&) = delete;

    virtual void execute() = 0;

    bool is_finished() const { return successors.load(std::memory_order_acquire) == closed(); }

    /// Marks the end of a successor list that takes no more entries: the task is done.
    static Edge* closed() {
        static Edge sentinel{};
        return &sentinel;
    }

    /// Called by the thread that adds tasks, while this task may be running or done. Edges need a
    /// stable address: the successor reserves `incoming` before the first call.
    void precede(Task& successor) {
        successor.incoming.push_back({&successor, nullptr});
        Edge& edge = successor.incoming.back();
        successor.pending.fetch_add(1, std::memory_order_relaxed);
        edge.next = successors.load(std::memory_order_acquire);
        do {
            if (edge.next == closed()) {
                successor.pending.fetch_sub(1, std::memory_order_relaxed);
                return;
            }
        } while (!successors.compare_exchange_weak(edge.next, &edge, std::memory_order_acq_rel,
                                                   std::memory_order_acquire));
    }

    void retain() { references.fetch_add(1, std::memory_order_relaxed); }
    void release() {
        if (references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
    }

    TaskLabel label;
    Rank rank;
    index_t sequence = 0;
    RunId released_by = kNoRun;      ///< set by the predecessor that makes it ready
    std::atomic<int> pending{1};     ///< unfinished predecessors, and one while being added
    std::atomic<int> references{1};  ///< one until it has run, one for each entry in the table
    std::atomic<Edge*> successors{nullptr};
    std::vector<Edge> incoming;
};

/// Keeps a task in memory, though it may be done.
class TaskGraph::TaskReference {
public:
    TaskReference() = default;
    explicit TaskReference(Task* task) : task_(task) { task_->retain(); }
    TaskReference(const TaskReference& other) : task_(other.task_) {
        if (task_ != nullptr) task_->retain();
    }
    TaskReference(TaskReference&& other) noexcept : task_(std::exchange(other.task_, nullptr)) {}
    TaskReference& operator=(TaskReference other) noexcept {
        std::swap(task_, other.task_);
        return *this;
    }
    ~TaskReference() {
        if (task_ != nullptr) task_->release();
    }

    explicit operator bool() const { return task_ != nullptr; }
    bool operator==(const TaskReference&) const = default;
    Task* operator->() const { return task_; }
    bool is_finished() const { return task_->is_finished(); }

private:
    Task* task_ = nullptr;
};

template <class Body>
struct TaskGraph::TaskOf final : Task {
    template <class Function>
    TaskOf(const TaskLabel& label_, Rank rank_, Function&& function)
        : Task(label_, rank_), body(std::forward<Function>(function)) {}
    void execute() override { body(); }
    Body body;
};

}  // namespace gprat::tasks
