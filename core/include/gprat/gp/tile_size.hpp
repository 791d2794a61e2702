#pragma once

#include "gprat/types.hpp"

namespace gprat::gp {

/// Automatic tile sizes lie between these, where n is no smaller.
inline constexpr index_t kSmallestTile = 120, kLargestTile = 1008;

/// The smallest side that products like and that is at least `size`.
index_t tile_side_at_least(double size);

/// The side of the tiles for n training points on a machine with so many processors: small tiles
/// feed many processors and keep the last, ragged phase of the factorisation short; large ones let
/// matrix products run near the processor's peak. Throws InvalidArgument unless both are positive.
index_t automatic_tile_size(index_t n, index_t processors);

}  // namespace gprat::gp
