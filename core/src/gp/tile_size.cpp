#include "gprat/gp/tile_size.hpp"

#include <algorithm>
#include <cmath>

#include "gprat/error.hpp"

namespace gprat::gp {

namespace {

constexpr index_t kOneTileUpTo = 192;
constexpr index_t kSmallest = 120, kLargest = 1008;

// Products work on 24 rows at a time, and read a tile where it lies unless its columns all fall into
// the same few places of a cache, as they do where they are a multiple of 1 KiB apart.
constexpr index_t kMultiple = 24, kCrowded = 128;

index_t side_at_most(double size) {
    const index_t side = static_cast<index_t>(size) / kMultiple * kMultiple;
    return side % kCrowded == 0 ? side - kMultiple : side;
}

// Where the time of factorisation, gradient and variance has its flat minimum on two processors
// (measured for n from 256 to 8192).
constexpr double kTilePerRoot = 8.5;

// Tiles a side, per root of the number of processors, that keep all of them busy.
constexpr double kTilesPerRoot = 4.0;

}  // namespace

index_t automatic_tile_size(index_t n, index_t processors) {
    if (n < 1 || processors < 1) throw InvalidArgument("n and processors must be positive");
    if (n <= kOneTileUpTo) return n;
    const auto points = static_cast<double>(n);
    const double size =
        std::min(kTilePerRoot * std::sqrt(points),
                 points / (kTilesPerRoot * std::sqrt(static_cast<double>(processors))));
    return std::clamp(side_at_most(size), kSmallest, kLargest);
}

}  // namespace gprat::gp
