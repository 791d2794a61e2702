#include "gprat/gp/tile_size.hpp"

#include <algorithm>
#include <cmath>

#include "gprat/error.hpp"

namespace gprat::gp {

namespace {

constexpr index_t kOneTileUpTo = 192;

// Products work on 24 rows at a time, and read a tile where it lies unless its columns all fall
// into the same few places of a cache, as they do where they are a multiple of 1 KiB apart.
constexpr index_t kMultiple = 24, kCrowded = 128;

// Where the time of factorisation, gradient and variance has its flat minimum on two processors
// (measured for n from 256 to 8192).
constexpr double kTilePerRoot = 8.5;

// Tiles a side, per root of the number of processors, that keep all of them busy.
constexpr double kTilesPerRoot = 4.0;

/// The largest side that products like and that is at most `size`, but no less than 24.
index_t tile_side_at_most(double size) {
    const index_t side = std::max(static_cast<index_t>(size) / kMultiple, index_t{1}) * kMultiple;
    return side % kCrowded == 0 ? side - kMultiple : side;
}

}  // namespace

index_t tile_side_at_least(double size) {
    const index_t side =
        static_cast<index_t>(std::ceil(size / static_cast<double>(kMultiple))) * kMultiple;
    return side % kCrowded == 0 ? side + kMultiple : side;
}

index_t automatic_tile_size(index_t n, index_t processors) {
    if (n < 1 || processors < 1) throw InvalidArgument("n and processors must be positive");
    if (n <= kOneTileUpTo) return n;
    const auto points = static_cast<double>(n);
    const double size =
        std::min(kTilePerRoot * std::sqrt(points),
                 points / (kTilesPerRoot * std::sqrt(static_cast<double>(processors))));
    return std::clamp(tile_side_at_most(size), kSmallestTile, kLargestTile);
}

}  // namespace gprat::gp
