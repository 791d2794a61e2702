#pragma once

#include "gprat/types.hpp"

namespace gprat::gp {

/// The side of the tiles for n training points on a machine with so many processors: small tiles
/// feed many processors and keep the last, ragged phase of the factorisation short; large ones let
/// matrix products run near the processor's peak. Throws InvalidArgument unless both are positive.
index_t automatic_tile_size(index_t n, index_t processors);

}  // namespace gprat::gp
