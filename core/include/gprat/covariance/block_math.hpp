#pragma once

#include "gprat/types.hpp"

/// Elementwise arithmetic and sums on blocks that lie in cache. Arrays are those of dispatch.hpp:
/// aligned, `count` a multiple of `kLanes<T>`; `out` may be one of the inputs.
namespace gprat::covariance::block_math {

/// out := alpha·a + beta
template <class T>
void scale_and_shift(index_t count, T alpha, const T* a, T beta, T* out);

/// out := alpha·a + beta·b
template <class T>
void combine(index_t count, T alpha, const T* a, T beta, const T* b, T* out);

/// out := a·b
template <class T>
void multiply(index_t count, const T* a, const T* b, T* out);

/// out := (alpha·a)²
template <class T>
void square(index_t count, T alpha, const T* a, T* out);

/// out := (alpha·a)³
template <class T>
void cube(index_t count, T alpha, const T* a, T* out);

/// out := √a
template <class T>
void square_root(index_t count, const T* a, T* out);

/// out := min(alpha·a, limit)
template <class T>
void scale_within(index_t count, T alpha, const T* a, T limit, T* out);

/// out := π(x − round(x)), where sines have the same squares as at πx, however large x is
template <class T>
void reduce_phase(index_t count, const T* x, T* out);

/// c0 + c1·x + c2·x²
template <class T>
struct Quadratic {
    T c0, c1, c2;
};

/// out := p(x)·a
template <class T>
void multiply_polynomial(index_t count, Quadratic<T> p, const T* x, const T* a, T* out);

/// out := a·b·p(x)/q(x)
template <class T>
void multiply_ratio(index_t count, Quadratic<T> p, Quadratic<T> q, const T* x, const T* a,
                    const T* b, T* out);

/// out := a·b/x, and 0 where x is 0
template <class T>
void multiply_reciprocal(index_t count, const T* x, const T* a, const T* b, T* out);

/// Σ a
template <class T>
double sum(index_t count, const T* a);

/// Σ a·b
template <class T>
double dot(index_t count, const T* a, const T* b);

/// Σ a·b·c
template <class T>
double dot(index_t count, const T* a, const T* b, const T* c);

}  // namespace gprat::covariance::block_math
