#pragma once

#include <memory>
#include <vector>

#include "gprat/types.hpp"

namespace gprat::covariance {

/// The Matern covariance with any ν > 0 (R&W 2006, eq. 4.14), k(r) = 2^(1−ν)/Γ(ν)·z^ν·K_ν(z) with
/// z = √(2ν)·r, and −2·∂k/∂r² = 2ν·2^(1−ν)/Γ(ν)·z^(ν−1)·K_(ν−1)(z).
///
/// Bessel functions cost a microsecond each, so their logarithms are tabulated once for each ν, by
/// Chebyshev interpolation on halves of the intervals between powers of two. The relative error of
/// k is about ε·(1 + |log k|).
class MaternTable {
public:
    explicit MaternTable(double nu);

    /// The table for ν, made once and shared.
    static std::shared_ptr<const MaternTable> get(double nu);

    double covariance(double r) const { return r == 0.0 ? 1.0 : value(covariances_, r); }
    /// −2·∂k/∂r²; 0 at r = 0, where it always meets a factor r.
    double slope(double r) const { return r == 0.0 ? 0.0 : value(slopes_, r); }

private:
    static constexpr int kTerms = 17;

    /// exp of the interpolated logarithm; 0 where that has underflowed.
    double value(const std::vector<double>& coefficients, double r) const;
    template <class Logarithm>
    std::vector<double> tabulate(const Logarithm& logarithm) const;

    int first_exponent_ = 0;
    int last_exponent_ = 0;  ///< of the last interval
    std::vector<double> covariances_;
    std::vector<double> slopes_;
};

}  // namespace gprat::covariance
