#pragma once

#include "gprat/linalg/blas.hpp"

/// Level 3 operations for processors with AVX-512, all on one kernel that multiplies packed
/// panels (Goto & van de Geijn 2008, "Anatomy of high-performance matrix multiplication").
/// Meanings and arguments are those of `gprat::blas`; no operand may be empty.
namespace gprat::packed {

/// Whether this processor can run the functions below.
bool is_available();

/// The largest order of a triangular operand here; `blas` splits larger ones.
inline constexpr index_t kLargestTriangle = 512;

enum class Region { full, lower };

/// C := β·C + α·op(A)·op(B), all of it or its lower triangle.
template <class T>
void gemm(blas::Op op_a, blas::Op op_b, T alpha, MatrixView<const T> a, MatrixView<const T> b,
          T beta, MatrixView<T> c, Region region = Region::full);

template <class T>
void trmm(blas::Side side, blas::Op op, MatrixView<const T> l, MatrixView<T> b);

template <class T>
void trsm(blas::Side side, blas::Op op, T alpha, MatrixView<const T> l, MatrixView<T> b);

}  // namespace gprat::packed
