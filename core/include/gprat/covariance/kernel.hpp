#pragma once

#include <cstdint>
#include <span>

#include "gprat/covariance/plan.hpp"
#include "gprat/covariance/points.hpp"
#include "gprat/covariance/program.hpp"
#include "gprat/types.hpp"

namespace gprat::covariance {

/// Which entries of a block are needed: all, or those whose row's index is not below the column's.
/// The others may be written all the same.
enum class Region { full, lower };

/// A program with values for its parameters. Its functions may be called from many threads at once;
/// results depend on arguments and instruction set only.
template <class T>
class Kernel {
public:
    /// Empty `is_free` means that no parameter is. Throws InvalidArgument where lengths or values
    /// do not fit the program.
    Kernel(const Program& program, std::span<const double> parameters,
           std::span<const std::uint8_t> is_free)
        : plan_(program, parameters, is_free), parameter_count_(program.parameter_count()) {}

    index_t parameter_count() const { return parameter_count_; }

    /// K(i, j) := k(rows_i, columns_j)
    void evaluate(Points<T> rows, Points<T> columns, Pairing pairing, Region region,
                  MatrixView<T> k) const;

    /// out[i] := k(points_i, points_i), white noise included.
    void diagonal(Points<T> points, T* out) const;

    /// gradient[p] += Σ_ij weights(i, j) · ∂k(rows_i, columns_j)/∂ log parameter p, for free p.
    /// Outside the region weights must be zero.
    void accumulate_gradient(Points<T> rows, Points<T> columns, Pairing pairing, Region region,
                             MatrixView<const T> weights, std::span<double> gradient) const;

private:
    void check(const Points<T>& points) const;

    Plan<T> plan_;
    index_t parameter_count_;
};

}  // namespace gprat::covariance
