#pragma once

#include <string>
#include <type_traits>

#include "gprat/types.hpp"

/// Dense operations on one tile, each on the calling thread alone; any number of threads may call
/// them at once. Equal shapes and values give equal bits, wherever the operands lie; where few
/// vectors are taken one by one, if leading dimensions are equal too.
///
/// T is float or double. Views without rows or columns are fine, and nothing is done to them. A
/// triangular operand L is lower; what lies above its diagonal is neither used nor changed.
namespace gprat::blas {

enum class Op { none, transpose };
enum class Side { left, right };

/// Holds the underlying library to one thread: the parallelism is between tiles, not within.
/// Further calls do nothing.
void initialise();

/// The library, its version, and the instruction set that it has chosen on this processor; our own
/// product too, where it is in use.
std::string name();

/// Up to so many right-hand sides are taken one by one: each reads the matrix once, as packing it
/// would, and then writes nothing.
inline constexpr index_t kFewVectors = 3;

/// An operand that is only read: T is deduced from the operand that is written.
template <class T>
using Input = MatrixView<const std::type_identity_t<T>>;

template <class T>
using Scalar = std::type_identity_t<T>;

/// C := β·C + α·op(A)·op(B). With β = 0, C is only written.
template <class T>
void gemm(Op op_a, Op op_b, Scalar<T> alpha, Input<T> a, Input<T> b, Scalar<T> beta,
          MatrixView<T> c);

/// Lower triangle of C := β·C + α·A·Aᵀ, or α·Aᵀ·A for Op::transpose.
template <class T>
void syrk(Op op, Scalar<T> alpha, Input<T> a, Scalar<T> beta, MatrixView<T> c);

/// B := op(L)·B, or B·op(L) for Side::right.
template <class T>
void trmm(Side side, Op op, Input<T> l, MatrixView<T> b);

/// B := α·op(L)⁻¹·B, or α·B·op(L)⁻¹ for Side::right.
template <class T>
void trsm(Side side, Op op, Scalar<T> alpha, Input<T> l, MatrixView<T> b);

/// Overwrites the lower triangle of A with its Cholesky factor. Returns −1, or else the first row
/// (from 0) whose pivot is not positive and finite; that pivot then stands on the diagonal there.
template <class T>
[[nodiscard]] index_t potrf(MatrixView<T> a);

/// L := L⁻¹.
template <class T>
void trtri(MatrixView<T> l);

/// Overwrites the lower triangle that holds L with that of Lᵀ·L.
template <class T>
void lauum(MatrixView<T> l);

/// A = Q·R with orthonormal columns, to rounding, in place of A (rows ≥ columns), and an upper
/// triangular R whose diagonal is not negative.
template <class T>
void qr(MatrixView<T> a, MatrixView<T> r);

/// An orthogonal matrix Q as `lq` finds it: reflectors I − [I V]ᵀ·S·[I V], several at a time with
/// one triangular S, and last the signs of the columns.
template <class T>
struct Reflectors {
    MatrixView<T> vectors;  ///< V, a row a reflector
    MatrixView<T> factors;  ///< Sᵀ of as many reflectors as it has rows, side by side
    T* signs;               ///< one a reflector
};

/// Turns [L V] into [L' 0] = [L V]·Q: L' is lower triangular with a positive diagonal, as L has,
/// and L'·L'ᵀ = L·Lᵀ + V·Vᵀ. What Q is made of takes the place of V.
template <class T>
void lq(MatrixView<T> l, const Reflectors<T>& q);

/// [A B] := [A B]·Q.
template <class T>
void reflect(const Reflectors<T>& q, MatrixView<T> a, MatrixView<T> b);

}  // namespace gprat::blas
