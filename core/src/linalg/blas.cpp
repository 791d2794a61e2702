#include "gprat/linalg/blas.hpp"

#include <algorithm>
#include <utility>

#include "gemm.hpp"
#include "gprat/linalg/buffer.hpp"
#include "openblas.hpp"
#include "small_triangles.hpp"

namespace gprat::blas {

void initialise() {
    // Not once and for all: tools that limit the threads of every BLAS may also raise them.
    if (openblas::get_num_threads() != 1) openblas::set_num_threads(1);
}

std::string name() {
    std::string name = openblas::get_config();
    if (packed::is_available()) name += ", AVX-512 products in place";
    return name;
}

namespace {

template <class T>
bool is_empty(const MatrixView<T>& a) {
    return a.rows == 0 || a.cols == 0;
}

constexpr Op flip(Op op) {
    return op == Op::none ? Op::transpose : Op::none;
}

template <class T>
void scale(T factor, MatrixView<T> c, packed::Region region) {
    for (index_t j = 0; j < c.cols; ++j)
        for (index_t i = region == packed::Region::lower ? j : 0; i < c.rows; ++i)
            c(i, j) = factor == T(0) ? T(0) : factor * c(i, j);
}

/// Column j of op(A). A row of op(A) is a column of its transpose.
template <class T>
openblas::Vector<T> column(Op op, const MatrixView<T>& a, index_t j) {
    return op == Op::none ? openblas::Vector<T>{a.column(j), 1}
                          : openblas::Vector<T>{a.data + j, a.ld};
}

/// Rounded so that what is cut off fills whole registers.
index_t first_half(index_t order) {
    return (order / 2 + 31) / 32 * 32;
}

/// op(L) and B cut in two. Solving finds the part `first` of B, then takes its share, through L₂₁,
/// out of `last`; a product goes the other way round.
template <class T>
struct Halves {
    MatrixView<const T> l_first, l_last, coupling;
    MatrixView<T> b_first, b_last;

    Halves(Side side, Op op, MatrixView<const T> l, MatrixView<T> b) {
        const index_t n = l.rows, k = first_half(n);
        l_first = l.block(0, 0, k, k);
        l_last = l.block(k, k, n - k, n - k);
        coupling = l.block(k, 0, n - k, k);
        b_first = side == Side::left ? b.block(0, 0, k, b.cols) : b.block(0, 0, b.rows, k);
        b_last = side == Side::left ? b.block(k, 0, n - k, b.cols) : b.block(0, k, b.rows, n - k);
        const bool is_forward = (side == Side::left) == (op == Op::none);
        if (is_forward) return;
        std::swap(l_first, l_last);
        std::swap(b_first, b_last);
    }
};

/// last := β·last + α·(op(L₂₁)·first), or the product from the right.
template <class T>
void couple(Side side, Op op, T alpha, const Halves<T>& halves, T beta) {
    if (side == Side::left)
        gemm(op, Op::none, alpha, halves.coupling, halves.b_first, beta, halves.b_last);
    else
        gemm(Op::none, op, alpha, halves.b_first, halves.coupling, beta, halves.b_last);
}

}  // namespace

template <class T>
void gemm(Op op_a, Op op_b, Scalar<T> alpha, Input<T> a, Input<T> b, Scalar<T> beta,
          MatrixView<T> c) {
    if (is_empty(c)) return;
    if (is_empty(a))
        scale(beta, c, packed::Region::full);
    else if (c.cols <= kFewVectors)
        for (index_t j = 0; j < c.cols; ++j)
            openblas::gemv(op_a, alpha, a, column(op_b, b, j), beta, column(Op::none, c, j));
    else if (c.rows <= kFewVectors)
        for (index_t i = 0; i < c.rows; ++i)
            openblas::gemv(flip(op_b), alpha, b, column(flip(op_a), a, i), beta,
                           column(Op::transpose, c, i));
    else if (packed::is_available())
        packed::gemm(op_a, op_b, alpha, a, b, beta, c);
    else
        openblas::gemm(op_a, op_b, alpha, a, b, beta, c);
}

template <class T>
void syrk(Op op, Scalar<T> alpha, Input<T> a, Scalar<T> beta, MatrixView<T> c) {
    if (is_empty(c)) return;
    if (is_empty(a))
        scale(beta, c, packed::Region::lower);
    else if (packed::is_available())
        packed::gemm(op, flip(op), alpha, a, a, beta, c, packed::Region::lower);
    else
        openblas::syrk(op, alpha, a, beta, c);
}

template <class T>
void trmm(Side side, Op op, Input<T> l, MatrixView<T> b) {
    if (is_empty(b)) return;
    if (!packed::is_available()) return openblas::trmm(side, op, l, b);
    if (l.rows <= packed::kLargestTriangle) return packed::trmm(side, op, l, b);
    const Halves<T> halves(side, op, l, b);
    trmm(side, op, halves.l_last, halves.b_last);
    couple(side, op, T(1), halves, T(1));
    trmm(side, op, halves.l_first, halves.b_first);
}

template <class T>
void trsm(Side side, Op op, Scalar<T> alpha, Input<T> l, MatrixView<T> b) {
    if (is_empty(b)) return;
    const Op to_columns = side == Side::left ? Op::none : Op::transpose;
    if (const index_t vectors = side == Side::left ? b.cols : b.rows; vectors <= kFewVectors) {
        if (alpha != T(1)) scale(alpha, b, packed::Region::full);
        for (index_t j = 0; j < vectors; ++j)
            openblas::trsv(side == Side::left ? op : flip(op), l, column(to_columns, b, j));
        return;
    }
    if (!packed::is_available()) return openblas::trsm(side, op, alpha, l, b);
    if (l.rows <= packed::kLargestTriangle) return packed::trsm(side, op, alpha, l, b);
    const Halves<T> halves(side, op, l, b);
    trsm(side, op, alpha, halves.l_first, halves.b_first);
    couple(side, op, T(-1), halves, alpha);
    trsm(side, op, T(1), halves.l_last, halves.b_last);
}

template <class T>
index_t potrf(MatrixView<T> a) {
    const index_t n = a.rows, k = first_half(n);
    if (n == 0) return -1;
    if (!packed::is_available()) return openblas::potrf(a);
    if (n <= small::kOrder) return small::potrf(a);
    const auto l11 = a.block(0, 0, k, k), l21 = a.block(k, 0, n - k, k),
               a22 = a.block(k, k, n - k, n - k);
    if (const index_t failed = potrf(l11); failed >= 0) return failed;
    trsm(Side::right, Op::transpose, T(1), l11, l21);
    syrk(Op::none, T(-1), l21, T(1), a22);
    const index_t failed = potrf(a22);
    return failed >= 0 ? k + failed : -1;
}

template <class T>
void trtri(MatrixView<T> l) {
    const index_t n = l.rows, k = first_half(n);
    if (n == 0) return;
    if (!packed::is_available()) return openblas::trtri(l);
    if (n <= small::kOrder) return small::trtri(l);
    const auto l11 = l.block(0, 0, k, k), l21 = l.block(k, 0, n - k, k),
               l22 = l.block(k, k, n - k, n - k);
    trtri(l11);
    trmm(Side::right, Op::none, l11, l21);
    trsm(Side::left, Op::none, T(-1), l22, l21);
    trtri(l22);
}

template <class T>
void lauum(MatrixView<T> l) {
    const index_t n = l.rows, k = first_half(n);
    if (n == 0) return;
    if (!packed::is_available()) return openblas::lauum(l);
    if (n <= small::kOrder) return small::lauum(l);
    const auto l11 = l.block(0, 0, k, k), l21 = l.block(k, 0, n - k, k),
               l22 = l.block(k, k, n - k, n - k);
    lauum(l11);
    syrk(Op::transpose, T(1), l21, T(1), l11);
    trmm(Side::left, Op::transpose, l22, l21);
    lauum(l22);
}

template <class T>
void qr(MatrixView<T> a, MatrixView<T> r) {
    if (is_empty(a)) return;
    openblas::qr(a, r);
    for (index_t j = 0; j < r.cols; ++j) {
        if (!(r(j, j) < T(0))) continue;
        for (index_t c = j; c < r.cols; ++c) r(j, c) = -r(j, c);
        for (index_t i = 0; i < a.rows; ++i) a(i, j) = -a(i, j);
    }
}

template <class T>
void lq(MatrixView<T> l, const Reflectors<T>& q) {
    if (is_empty(l)) return;
    openblas::tplqt(l, q.vectors, q.factors);
    const index_t group = q.factors.rows;
    for (index_t j = 0; j < l.cols; ++j) {
        // Each factor is transposed: `trmm` wants lower triangles.
        const index_t first = j / group * group;
        for (index_t i = 0; i < j - first; ++i) q.factors(j - first, first + i) = q.factors(i, j);
        q.signs[j] = l(j, j) < T(0) ? T(-1) : T(1);
        if (q.signs[j] < T(0)) scale(T(-1), l.block(j, j, l.rows - j, 1), packed::Region::full);
    }
}

template <class T>
void reflect(const Reflectors<T>& q, MatrixView<T> a, MatrixView<T> b) {
    if (is_empty(a)) return;
    const index_t group = q.factors.rows;
    const ThreadScratch<T> memory(a.rows * group);
    T* const scratch = memory.data();
    for (index_t first = 0; first < a.cols; first += group) {
        const index_t count = std::min(group, a.cols - first);
        const auto part = a.block(0, first, a.rows, count);
        const auto v = q.vectors.block(first, 0, count, b.cols);
        const MatrixView<T> w(scratch, a.rows, count);
        for (index_t j = 0; j < count; ++j) std::copy_n(part.column(j), a.rows, w.column(j));
        gemm(Op::none, Op::transpose, T(1), b, v, T(1), w);
        trmm(Side::right, Op::transpose, q.factors.block(0, first, count, count), w);
        for (index_t j = 0; j < count; ++j)
            for (index_t i = 0; i < a.rows; ++i)
                part(i, j) = q.signs[first + j] * (part(i, j) - w(i, j));
        gemm(Op::none, Op::none, T(-1), w, v, T(1), b);
    }
}

#define GPRAT_INSTANTIATE(T)                                                             \
    template void gemm(Op, Op, Scalar<T>, Input<T>, Input<T>, Scalar<T>, MatrixView<T>); \
    template void syrk(Op, Scalar<T>, Input<T>, Scalar<T>, MatrixView<T>);               \
    template void trmm(Side, Op, Input<T>, MatrixView<T>);                               \
    template void trsm(Side, Op, Scalar<T>, Input<T>, MatrixView<T>);                    \
    template index_t potrf(MatrixView<T>);                                               \
    template void trtri(MatrixView<T>);                                                  \
    template void lauum(MatrixView<T>);                                                  \
    template void qr(MatrixView<T>, MatrixView<T>);                                      \
    template void lq(MatrixView<T>, const Reflectors<T>&);                               \
    template void reflect(const Reflectors<T>&, MatrixView<T>, MatrixView<T>);
GPRAT_INSTANTIATE(float)
GPRAT_INSTANTIATE(double)
#undef GPRAT_INSTANTIATE

}  // namespace gprat::blas
