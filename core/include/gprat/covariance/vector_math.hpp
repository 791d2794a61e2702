#pragma once

#include "gprat/types.hpp"

/// Transcendental functions of whole arrays, vectorised by the C library's vector mathematics where
/// it has some. Arrays are those of dispatch.hpp: aligned, `count` a multiple of `kLanes<T>`; input
/// and output may be the same array. Inputs must be finite.
namespace gprat::covariance::vector_math {

/// y := exp(factor·x), and 0 where that is less than about 1e-307 (1e-37 for float): results near
/// the end of the range would be taken one by one, and covariances of distant points lie there.
template <class T>
void exponential(index_t count, T factor, const T* x, T* y);

/// y := log(1 + x)
template <class T>
void log_one_plus(index_t count, const T* x, T* y);

/// y := sin(factor·x)
template <class T>
void sine(index_t count, T factor, const T* x, T* y);

/// y := the angle of two unit vectors, in [0, π], from the squares of the lengths of their
/// difference and of their sum. Accurate at both ends.
template <class T>
void angle(index_t count, const T* difference, const T* sum, T* y);

/// y := (factor·x)^exponent
template <class T>
void power(index_t count, T factor, const T* x, T exponent, T* y);

}  // namespace gprat::covariance::vector_math
