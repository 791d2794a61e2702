#pragma once

#include "gprat/types.hpp"

namespace gprat {

/// to := factor·from
template <class T>
void copy_columns(MatrixView<const T> from, MatrixView<T> to, T factor = T(1)) {
    for (index_t j = 0; j < from.cols; ++j)
        for (index_t i = 0; i < from.rows; ++i) to(i, j) = factor * from(i, j);
}

}  // namespace gprat
