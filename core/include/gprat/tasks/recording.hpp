#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gprat/tasks/access_table.hpp"
#include "gprat/tasks/observer.hpp"
#include "gprat/types.hpp"

namespace gprat::tasks {

/// What a graph would run: its tasks in program order, with their edges. A graph that is given a
/// recording notes its tasks there and runs none of them.
class Recording {
public:
    struct Task {
        TaskLabel label;
        index_t rank;
        double bytes;  ///< of the data that it reads and writes
    };

    /// Of a graph for so many workers, on a machine that has so many processors.
    Recording(int threads, int processors) : threads_(threads), processors_(processors) {}

    int threads() const { return threads_; }
    int processors() const { return processors_; }

    index_t new_handles(index_t count, double bytes_each);
    void add(const TaskLabel& label, index_t rank, std::span<const index_t> reads,
             std::span<const index_t> writes);

    const std::vector<Task>& tasks() const { return tasks_; }

    /// Indices of the tasks that task i waits for, ascending, each once:
    /// [offsets[i], offsets[i + 1]) of `predecessors`.
    const std::vector<index_t>& offsets() const { return offsets_; }
    const std::vector<std::int32_t>& predecessors() const { return predecessors_; }

private:
    struct Reference {
        std::int32_t task = -1;
        explicit operator bool() const { return task >= 0; }
        bool operator==(const Reference&) const = default;
        static bool is_finished() { return false; }
    };
    struct Piece {
        double bytes;
        std::int32_t last_user = -1;
    };

    int threads_;
    int processors_;
    AccessTable<Reference> accesses_;
    std::vector<Piece> pieces_;
    std::vector<Task> tasks_;
    std::vector<index_t> offsets_{0};
    std::vector<std::int32_t> predecessors_;
};

}  // namespace gprat::tasks
