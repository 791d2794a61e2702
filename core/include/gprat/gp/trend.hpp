#pragma once

#include "gprat/gp/conditioning.hpp"
#include "gprat/linalg/buffer.hpp"
#include "gprat/types.hpp"

/// What a trend adds to predictions (R&W 2006, eqs. 2.41 and 2.42), for a block of test points. H*ᵀ
/// has one column a point, and so have the means here: row-major arrays as NumPy has them.
namespace gprat::gp::trend {

/// mean += βᵀ·H*ᵀ
template <class T>
void add_mean(const Conditioning<T>& conditioning, MatrixView<const T> basis_t, T* mean);

/// Takes Vᵀ·[L⁻¹Y Q] apart, `projected` having outputs + trends numbers a point: the first are the
/// mean less the trend; G = R⁻ᵀH*ᵀ − QᵀV, what the data leave open about the trend.
template <class T>
void split(const Conditioning<T>& conditioning, MatrixView<const T> basis_t, const T* projected,
           T* mean, MatrixView<T> g);

/// adjoint := 2·R⁻¹·G: the derivatives of ‖g‖² by the basis functions.
template <class T>
void differentiate(const Conditioning<T>& conditioning, MatrixView<const T> g, double* adjoint);

}  // namespace gprat::gp::trend
