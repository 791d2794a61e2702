#pragma once

#include "gprat/types.hpp"

/// How much a task has to do, for `TaskLabel::work`.
namespace gprat::work {

/// rows·columns·inner
inline double product(index_t rows, index_t columns, index_t inner = 1) {
    return static_cast<double>(rows) * static_cast<double>(columns) * static_cast<double>(inner);
}

/// Additions and multiplications of C := C + A·B, C rows × columns.
template <class T>
double gemm(MatrixView<T> c, index_t inner) {
    return 2.0 * product(c.rows, c.cols, inner);
}

/// The same for the lower triangle of a square C.
template <class T>
double syrk(MatrixView<T> c, index_t inner) {
    return product(c.rows, c.cols, inner);
}

/// A triangle applied to B, or its inverse.
template <class T>
double triangle(index_t side, MatrixView<T> b) {
    return product(b.rows, b.cols, side);
}

/// Cholesky factor, inverse or Gram matrix of a triangle, in place.
inline double in_place(index_t side) {
    return product(side, side, side) / 3.0;
}

/// Pairs of points whose covariance a task evaluates or differentiates.
inline double pairs(index_t rows, index_t columns) {
    return product(rows, columns);
}

/// The same for tile (i, j) of a symmetric matrix: of those on the diagonal, a triangle is needed.
inline double pairs_of_tile(index_t i, index_t j, index_t rows, index_t columns) {
    return i == j ? 0.5 * pairs(rows, columns + 1) : pairs(rows, columns);
}

}  // namespace gprat::work
