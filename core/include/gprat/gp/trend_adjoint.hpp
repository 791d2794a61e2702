#pragma once

#include "gprat/gp/conditioning.hpp"
#include "gprat/gp/cotangents.hpp"
#include "gprat/linalg/buffer.hpp"

/// Derivatives of a function of predictions by the basis functions of a trend: see PullBack.
namespace gprat::gp::trend {

/// N = −2Λ = 2R⁻¹G, trends × as many columns as G has.
template <class T>
Buffer<T> multipliers(const Conditioning<T>& conditioning, MatrixView<const T> g);

/// By H, n × trends, row-major: its transpose is −βBᵀ + ½(Nm̄)αᵀ − N(WC̄)ᵀ. Without C̄ the columns
/// of N are those of Nm̄.
template <class T>
Buffer<double> pull_back_basis(const Conditioning<T>& conditioning, const Cotangents<T>& cotangents,
                               MatrixView<const T> multipliers, MatrixView<const T> b,
                               MatrixView<const T> products);

/// By H*, m × trends, row-major: its transpose is βm̄ᵀ + NC̄.
template <class T>
Buffer<double> pull_back_test_basis(const Conditioning<T>& conditioning,
                                    const Cotangents<T>& cotangents,
                                    MatrixView<const T> multipliers);

}  // namespace gprat::gp::trend
