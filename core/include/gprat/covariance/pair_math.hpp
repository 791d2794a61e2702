#pragma once

#include "gprat/types.hpp"

/// Sums over the features of pairs of points, for a cache-sized block of pairs.
///
/// A block has `columns` columns of `panels · kLanes<T>` entries each, one after the other. Entries
/// that pad the last panel are computed like the others; a weight there must be zero.
namespace gprat::covariance::pair_math {

struct BlockShape {
    index_t panels;
    index_t columns;
    index_t features;
};

/// Squared distances are cut off here, so that their product with a covariance that has vanished is
/// zero and not NaN, with room for the factors in between.
template <class T>
inline constexpr T kHuge = sizeof(T) == 8 ? T(1e300) : T(1e36f);

/// Copies `count` points of a row-major array times `factor[feature]`, transposed in panels: the
/// values of one feature for kLanes<T> points are adjacent. The last point pads the last panel.
template <class T>
void pack_rows(index_t count, index_t features, const T* points, const T* factor, T* packed);

/// Copies `count` points times `factor[feature]`, in their order.
template <class T>
void pack_columns(index_t count, index_t features, const T* points, const T* factor, T* packed);

/// squares(i, j) := scale · Σ_f (rows(i, f) − columns(j, f))², at most kHuge<T>
template <class T>
void squared_distances(const BlockShape& shape, const T* rows, const T* columns, T scale,
                       T* squares);

/// squares(i, j) := Σ_f (factor(f) · (rows(i, f) − columns(j, f)))², at most kHuge<T>
template <class T>
void scaled_squared_distances(const BlockShape& shape, const T* rows, const T* columns,
                              const T* factor, T* squares);

/// products(i, j) := shift + Σ_f rows(i, f) · columns(j, f)
template <class T>
void dot_products(const BlockShape& shape, const T* rows, const T* columns, T shift, T* products);

/// sums(f) := Σ_ij weights(i, j) · (rows(i, f) − columns(j, f))²; `scratch` is as large as a panel
/// of rows.
template <class T>
void weighted_squares(const BlockShape& shape, const T* rows, const T* columns, const T* weights,
                      T* scratch, double* sums);

/// What pairs do to the coordinates of their points, by the derivative of a sum over pairs.
enum class PairTerm {
    difference,  ///< weight · (own − other)
    other        ///< weight · other
};

/// row_sums(i, f) := Σ_j of the term of (i, j) with row i as own, packed as rows are;
/// column_sums(j, f) := Σ_i of the term with column j as own, packed as columns are.
template <class T>
void point_sums(const BlockShape& shape, PairTerm term, const T* rows, const T* columns,
                const T* weights, T* row_sums, double* column_sums);

}  // namespace gprat::covariance::pair_math
