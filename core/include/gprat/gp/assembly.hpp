#pragma once

#include <algorithm>

#include "gprat/covariance/covariance.hpp"

namespace gprat::gp {

/// tile := k(rows, columns) of two parts of one set, which are the same or have no point in common;
/// the same get `noise_at(index of the point)` on their diagonal, and zeros above it.
template <class T, class NoiseAt>
void assemble_tile(const covariance::Covariance<T>& kernel, covariance::Points<T> rows,
                   covariance::Points<T> columns, const NoiseAt& noise_at, MatrixView<T> tile) {
    const bool diagonal = rows.first == columns.first;
    kernel.evaluate(rows, columns, covariance::Pairing::same_set,
                    diagonal ? covariance::Region::lower : covariance::Region::full, tile);
    if (!diagonal) return;
    for (index_t c = 0; c < tile.cols; ++c) {
        std::fill_n(tile.column(c), c, T(0));
        tile(c, c) += static_cast<T>(noise_at(columns.first + c));
    }
}

}  // namespace gprat::gp
