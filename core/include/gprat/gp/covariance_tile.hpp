#pragma once

#include "gprat/gp/predict.hpp"

namespace gprat::gp {

/// What predictions know of a block of test points: columns of V = L⁻¹K(X, X*), and of G.
template <class T>
struct WhitenedPoints {
    covariance::Points<T> points;
    MatrixView<const T> v;
    MatrixView<const T> g;
};

/// tile := k(rows, columns) − VᵀV + GᵀG, and its mirror image. Clips variances where rows and
/// columns are the same; then the mirror image is the tile itself.
template <class T>
Clipping explain_covariance_tile(const Problem<T>& problem, const WhitenedPoints<T>& rows,
                                 const WhitenedPoints<T>& columns, MatrixView<T> tile,
                                 MatrixView<T> mirror);

}  // namespace gprat::gp
