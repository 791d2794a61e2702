#include "gprat/tasks/recording.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "gprat/error.hpp"

namespace gprat::tasks {

index_t Recording::new_handles(index_t count, double bytes_each) {
    pieces_.resize(pieces_.size() + static_cast<std::size_t>(count), {bytes_each});
    return accesses_.new_handles(count);
}

void Recording::add(const TaskLabel& label, index_t rank, std::span<const index_t> reads,
                    std::span<const index_t> writes) {
    if (tasks_.size() >= std::numeric_limits<std::int32_t>::max())
        throw InvalidArgument("more tasks than a recording can number");
    const auto task = static_cast<std::int32_t>(tasks_.size());
    const auto first = predecessors_.end() - predecessors_.begin();
    accesses_.connect({task}, reads, writes,
                      [this](Reference earlier) { predecessors_.push_back(earlier.task); });
    std::sort(predecessors_.begin() + first, predecessors_.end());
    predecessors_.erase(std::unique(predecessors_.begin() + first, predecessors_.end()),
                        predecessors_.end());
    offsets_.push_back(std::ssize(predecessors_));

    double bytes = 0.0;
    for (const auto handles : {reads, writes})
        for (const index_t handle : handles) {
            auto& piece = pieces_[handle];
            if (std::exchange(piece.last_user, task) != task) bytes += piece.bytes;
        }
    tasks_.push_back({label, rank, bytes});
}

}  // namespace gprat::tasks
