#pragma once

#include <algorithm>

#include "gprat/error.hpp"
#include "gprat/types.hpp"

namespace gprat {

/// Cuts [0, size) into tiles of `tile_size`; the last one may be shorter.
class TileLayout {
public:
    TileLayout(index_t size, index_t tile_size) : size_(size), tile_size_(tile_size) {
        if (size < 0 || tile_size < 1)
            throw InvalidArgument("a tile layout needs size >= 0 and tile_size >= 1");
        // A larger tile than the matrix is the matrix.
        tile_size_ = std::min(tile_size_, std::max<index_t>(size_, 1));
    }

    index_t size() const { return size_; }
    index_t tile_size() const { return tile_size_; }
    index_t tiles() const { return (size_ + tile_size_ - 1) / tile_size_; }

    index_t begin(index_t tile) const { return std::min(tile * tile_size_, size_); }
    index_t end(index_t tile) const { return begin(tile + 1); }
    index_t extent(index_t tile) const { return end(tile) - begin(tile); }

    /// Whether there are so many tiles a side that they were cut for many processors. Then tasks
    /// are kept short where others wait for them, at the cost of more tasks. It must not depend on
    /// the number of threads: results would.
    bool is_fine() const { return tiles() >= kManyTiles; }

    /// Tiles that together make an inner dimension long enough for GEMM to run at its best.
    index_t tiles_per_update() const { return tiles_in(kLong); }

    /// Tiles side by side that one task updates.
    index_t tiles_per_strip() const { return tiles_in(is_fine() ? kShort : kLong); }

private:
    static constexpr index_t kLong = 1536, kShort = 512, kManyTiles = 16;

    index_t tiles_in(index_t length) const { return std::max<index_t>(1, length / tile_size_); }

    index_t size_;
    index_t tile_size_;
};

/// Consecutive tiles [first, last).
struct TileRange {
    index_t first;
    index_t last;
};

/// Calls `visit(TileRange)` for consecutive groups of at most `group` tiles of [first, last).
template <class Visit>
void for_each_group(index_t first, index_t last, index_t group, Visit&& visit) {
    for (index_t tile = first; tile < last; tile += group)
        visit(TileRange{tile, std::min(tile + group, last)});
}

/// Calls `visit(TileRange)` for the groups in which a tile is updated from panels [first, last).
/// Where tiles are fine the last panel comes alone: it is the last to be known, and the update from
/// all others need not wait for it.
template <class Visit>
void for_each_update(const TileLayout& layout, index_t first, index_t last, Visit&& visit) {
    const index_t apart = layout.is_fine() && first < last ? 1 : 0;
    for_each_group(first, last - apart, layout.tiles_per_update(), visit);
    for_each_group(last - apart, last, 1, visit);
}

}  // namespace gprat
