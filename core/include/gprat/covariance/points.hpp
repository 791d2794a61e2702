#pragma once

#include "gprat/types.hpp"

namespace gprat::covariance {

/// Rows of a row-major count × dimension array; `first` is the index of the first of them in the
/// whole set. Coordinates must be finite.
template <class T>
struct Points {
    const T* data = nullptr;
    index_t count = 0;
    index_t dimension = 0;
    index_t first = 0;

    /// The points [begin, begin + size).
    Points slice(index_t begin, index_t size) const {
        return {data + begin * dimension, size, dimension, first + begin};
    }
};

/// Whether points with equal indices are the same point, where white noise contributes.
enum class Pairing { same_set, cross };

}  // namespace gprat::covariance
