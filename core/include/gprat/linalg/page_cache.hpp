#pragma once

#include <cstddef>
#include <mutex>
#include <vector>

namespace gprat {

/// Large blocks of memory that were freed and may soon be wanted again: training allocates the same
/// triangle for every evaluation, and having its pages cleared anew costs a tenth of the time of
/// a factorisation at n = 8192.
///
/// At most an eighth of the machine's memory is kept, and the system may take the pages back
/// whenever it is short. Blocks that don't fit a new
/// request are freed before it is served, so that they never add to the peak of an operation.
class PageCache {
public:
    struct Block {
        void* memory;
        std::size_t bytes;
    };

    static PageCache& instance();

    /// A block of at least `bytes`, or one with null memory.
    Block take(std::size_t bytes);

    /// Keeps the block, or frees it.
    void give(Block block) noexcept;

    /// Frees what is kept.
    void clear();

private:
    static constexpr std::size_t kMostBlocks = 512;

    PageCache();
    void free_all();

    std::mutex mutex_;
    std::vector<Block> blocks_;
    std::size_t bytes_ = 0;
    std::size_t most_bytes_;
};

}  // namespace gprat
