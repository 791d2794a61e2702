#pragma once

#include <span>

#include "gprat/covariance/points.hpp"
#include "gprat/types.hpp"

namespace gprat::covariance {

/// Which entries of a block are needed: all, or those whose row's index is not below the column's.
/// The others may be written all the same.
enum class Region { full, lower };

/// Where derivatives are added; what is empty or null is not wanted.
template <class T>
struct GradientSink {
    std::span<double> parameters;  ///< one a parameter
    double* rows = nullptr;        ///< rows × dimension, row-major: by the coordinates of the rows
    double* columns = nullptr;     ///< likewise of the columns
};

/// A covariance function with its hyperparameters. Its functions may be called from many threads at
/// once, and their results depend on the arguments only.
template <class T>
class Covariance {
public:
    virtual ~Covariance() = default;

    virtual index_t parameter_count() const = 0;

    /// K(i, j) := k(rows_i, columns_j)
    virtual void evaluate(Points<T> rows, Points<T> columns, Pairing pairing, Region region,
                          MatrixView<T> k) const = 0;

    /// out[i] := k(points_i, points_i), white noise included.
    virtual void diagonal(Points<T> points, T* out) const = 0;

    /// Adds the derivatives of Σ_ij weights(i, j) · k(rows_i, columns_j): by each free parameter
    /// (its logarithm, for those that are positive by nature) and by the coordinates of rows and
    /// columns. Outside the region weights must be zero.
    virtual void accumulate_gradient(Points<T> rows, Points<T> columns, Pairing pairing,
                                     Region region, MatrixView<const T> weights,
                                     const GradientSink<T>& sink) const = 0;
};

}  // namespace gprat::covariance
