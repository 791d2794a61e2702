#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "gprat/types.hpp"

namespace gprat::tasks {

/// Who last wrote each piece of data and who has read it since: what the edges of a graph follow
/// from. `Reference` refers to a task; it is false where it refers to none, compares equal where it
/// refers to the same, and tells whether that task `is_finished()`.
template <class Reference>
class AccessTable {
public:
    /// The first of `count` new consecutive handles.
    index_t new_handles(index_t count) {
        const auto first = static_cast<index_t>(accesses_.size());
        accesses_.resize(accesses_.size() + static_cast<std::size_t>(count));
        return first;
    }

    /// At most so many edges lead to a task with these accesses.
    std::size_t most_edges(std::span<const index_t> reads, std::span<const index_t> writes) const {
        std::size_t edges = 0;
        for (const index_t handle : reads) edges += accesses_[handle].writer ? 1 : 0;
        for (const index_t handle : writes)
            edges += (accesses_[handle].writer ? 1 : 0) + accesses_[handle].readers.size();
        return edges;
    }

    /// Notes the accesses of a task, the next in program order, and calls `precede(earlier)` for
    /// each that it has to wait for: read after write, write after read, write after write.
    template <class Precede>
    void connect(const Reference& task, std::span<const index_t> reads,
                 std::span<const index_t> writes, Precede&& precede) {
        for (const index_t handle : reads) {
            auto& [writer, readers] = accesses_[handle];
            if (writer) precede(writer);
            // Readers that are done order nothing any more: drop them when the list would grow.
            if (readers.size() == readers.capacity())
                std::erase_if(readers,
                              [](const Reference& reader) { return reader.is_finished(); });
            readers.push_back(task);
        }
        for (const index_t handle : writes) {
            auto& [writer, readers] = accesses_[handle];
            if (writer == task) continue;  // named twice
            if (writer) precede(writer);
            for (const Reference& reader : readers)
                if (!(reader == task)) precede(reader);
            readers.clear();
            writer = task;
        }
    }

private:
    struct Access {
        Reference writer;
        std::vector<Reference> readers;
    };

    std::vector<Access> accesses_;
};

}  // namespace gprat::tasks
