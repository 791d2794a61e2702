#pragma once

#include <cmath>
#include <vector>

#include "gprat/linalg/blas.hpp"

// Fortran's interface with 32-bit integers. In the PyPI package scipy-openblas32 symbols have a
// prefix.
#ifdef GPRAT_SYSTEM_OPENBLAS
#define GPRAT_SYMBOL(name) name
#else
#define GPRAT_SYMBOL(name) scipy_##name
#endif

extern "C" {
int GPRAT_SYMBOL(openblas_get_num_threads)();
void GPRAT_SYMBOL(openblas_set_num_threads)(int);
char* GPRAT_SYMBOL(openblas_get_config)(void);

#define GPRAT_DECLARE(T, letter)                                                                   \
    void GPRAT_SYMBOL(letter##gemm_)(const char*, const char*, const int*, const int*, const int*, \
                                     const T*, const T*, const int*, const T*, const int*,         \
                                     const T*, T*, const int*);                                    \
    void GPRAT_SYMBOL(letter##gemv_)(const char*, const int*, const int*, const T*, const T*,      \
                                     const int*, const T*, const int*, const T*, T*, const int*);  \
    void GPRAT_SYMBOL(letter##syrk_)(const char*, const char*, const int*, const int*, const T*,   \
                                     const T*, const int*, const T*, T*, const int*);              \
    void GPRAT_SYMBOL(letter##trmm_)(const char*, const char*, const char*, const char*,           \
                                     const int*, const int*, const T*, const T*, const int*, T*,   \
                                     const int*);                                                  \
    void GPRAT_SYMBOL(letter##trsm_)(const char*, const char*, const char*, const char*,           \
                                     const int*, const int*, const T*, const T*, const int*, T*,   \
                                     const int*);                                                  \
    void GPRAT_SYMBOL(letter##trsv_)(const char*, const char*, const char*, const int*, const T*,  \
                                     const int*, T*, const int*);                                  \
    void GPRAT_SYMBOL(letter##potrf_)(const char*, const int*, T*, const int*, int*);              \
    void GPRAT_SYMBOL(letter##trtri_)(const char*, const char*, const int*, T*, const int*, int*); \
    void GPRAT_SYMBOL(letter##lauum_)(const char*, const int*, T*, const int*, int*);              \
    void GPRAT_SYMBOL(letter##geqrf_)(const int*, const int*, T*, const int*, T*, T*, const int*,  \
                                      int*);                                                       \
    void GPRAT_SYMBOL(letter##orgqr_)(const int*, const int*, const int*, T*, const int*,          \
                                      const T*, T*, const int*, int*);                             \
    void GPRAT_SYMBOL(letter##tplqt_)(const int*, const int*, const int*, const int*, T*,          \
                                      const int*, T*, const int*, T*, const int*, T*, int*);
GPRAT_DECLARE(float, s)
GPRAT_DECLARE(double, d)
#undef GPRAT_DECLARE
}

namespace gprat::openblas {

inline int get_num_threads() {
    return GPRAT_SYMBOL(openblas_get_num_threads)();
}
inline void set_num_threads(int threads) {
    GPRAT_SYMBOL(openblas_set_num_threads)(threads);
}
inline const char* get_config() {
    return GPRAT_SYMBOL(openblas_get_config)();
}

}  // namespace gprat::openblas

/// OpenBLAS in terms of views; meanings are those of `gprat::blas`, and no operand may be empty.
namespace gprat::openblas {

using blas::Op;
using blas::Side;

template <class T>
struct Fortran;

#define GPRAT_BIND(T, letter)                                        \
    template <>                                                      \
    struct Fortran<T> {                                              \
        static constexpr auto* gemm = GPRAT_SYMBOL(letter##gemm_);   \
        static constexpr auto* gemv = GPRAT_SYMBOL(letter##gemv_);   \
        static constexpr auto* syrk = GPRAT_SYMBOL(letter##syrk_);   \
        static constexpr auto* trmm = GPRAT_SYMBOL(letter##trmm_);   \
        static constexpr auto* trsm = GPRAT_SYMBOL(letter##trsm_);   \
        static constexpr auto* trsv = GPRAT_SYMBOL(letter##trsv_);   \
        static constexpr auto* potrf = GPRAT_SYMBOL(letter##potrf_); \
        static constexpr auto* trtri = GPRAT_SYMBOL(letter##trtri_); \
        static constexpr auto* lauum = GPRAT_SYMBOL(letter##lauum_); \
        static constexpr auto* geqrf = GPRAT_SYMBOL(letter##geqrf_); \
        static constexpr auto* orgqr = GPRAT_SYMBOL(letter##orgqr_); \
        static constexpr auto* tplqt = GPRAT_SYMBOL(letter##tplqt_); \
    };
GPRAT_BIND(float, s)
GPRAT_BIND(double, d)
#undef GPRAT_BIND
#undef GPRAT_SYMBOL

constexpr char letter(Op op) {
    return op == Op::none ? 'N' : 'T';
}
constexpr char letter(Side side) {
    return side == Side::left ? 'L' : 'R';
}

template <class T>
void gemm(Op op_a, Op op_b, T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta,
          MatrixView<T> c) {
    const char ta = letter(op_a), tb = letter(op_b);
    const int m = int(c.rows), n = int(c.cols), k = int(op_a == Op::none ? a.cols : a.rows);
    const int lda = int(a.ld), ldb = int(b.ld), ldc = int(c.ld);
    Fortran<T>::gemm(&ta, &tb, &m, &n, &k, &alpha, a.data, &lda, b.data, &ldb, &beta, c.data, &ldc);
}

template <class T>
struct Vector {
    T* data;
    index_t stride;
};

/// y := β·y + α·op(A)·x.
template <class T>
void gemv(Op op, T alpha, MatrixView<const T> a, Vector<const T> x, T beta, Vector<T> y) {
    const char trans = letter(op);
    const int m = int(a.rows), n = int(a.cols), lda = int(a.ld);
    const int incx = int(x.stride), incy = int(y.stride);
    Fortran<T>::gemv(&trans, &m, &n, &alpha, a.data, &lda, x.data, &incx, &beta, y.data, &incy);
}

template <class T>
void syrk(Op op, T alpha, MatrixView<const T> a, T beta, MatrixView<T> c) {
    const char trans = letter(op);
    const int n = int(c.rows), k = int(op == Op::none ? a.cols : a.rows);
    const int lda = int(a.ld), ldc = int(c.ld);
    Fortran<T>::syrk("L", &trans, &n, &k, &alpha, a.data, &lda, &beta, c.data, &ldc);
}

template <class T>
void trmm(Side side, Op op, MatrixView<const T> l, MatrixView<T> b) {
    const char at = letter(side), trans = letter(op);
    const int m = int(b.rows), n = int(b.cols), ldl = int(l.ld), ldb = int(b.ld);
    const T alpha(1);
    Fortran<T>::trmm(&at, "L", &trans, "N", &m, &n, &alpha, l.data, &ldl, b.data, &ldb);
}

template <class T>
void trsm(Side side, Op op, T alpha, MatrixView<const T> l, MatrixView<T> b) {
    const char at = letter(side), trans = letter(op);
    const int m = int(b.rows), n = int(b.cols), ldl = int(l.ld), ldb = int(b.ld);
    Fortran<T>::trsm(&at, "L", &trans, "N", &m, &n, &alpha, l.data, &ldl, b.data, &ldb);
}

/// x := op(L)⁻¹·x.
template <class T>
void trsv(Op op, MatrixView<const T> l, Vector<T> x) {
    const char trans = letter(op);
    const int n = int(l.rows), ldl = int(l.ld), incx = int(x.stride);
    Fortran<T>::trsv("L", &trans, "N", &n, l.data, &ldl, x.data, &incx);
}

/// The library does not stop at a NaN, which then reaches the diagonal of every row that it
/// touches.
template <class T>
index_t potrf(MatrixView<T> a) {
    const int n = int(a.rows), lda = int(a.ld);
    int info = 0;
    Fortran<T>::potrf("L", &n, a.data, &lda, &info);
    const index_t finished = info > 0 ? info - 1 : a.rows;
    for (index_t i = 0; i < finished; ++i)
        if (!std::isfinite(a(i, i))) return i;
    return info > 0 ? finished : -1;
}

template <class T>
void trtri(MatrixView<T> l) {
    const int n = int(l.rows), ldl = int(l.ld);
    int info = 0;
    Fortran<T>::trtri("L", "N", &n, l.data, &ldl, &info);
}

template <class T>
void lauum(MatrixView<T> l) {
    const int n = int(l.rows), ldl = int(l.ld);
    int info = 0;
    Fortran<T>::lauum("L", &n, l.data, &ldl, &info);
}

/// A := Q and R := R of the Householder factorisation A = Q·R; signs of R's diagonal vary.
template <class T>
void qr(MatrixView<T> a, MatrixView<T> r) {
    const int m = int(a.rows), n = int(a.cols), lda = int(a.ld);
    constexpr int kBlock = 32;  // what LAPACK asks for
    const int size = kBlock * n;
    std::vector<T> reflectors(a.cols), work(size);
    int info = 0;
    Fortran<T>::geqrf(&m, &n, a.data, &lda, reflectors.data(), work.data(), &size, &info);
    for (index_t j = 0; j < r.cols; ++j)
        for (index_t i = 0; i < r.rows; ++i) r(i, j) = i <= j ? a(i, j) : T(0);
    Fortran<T>::orgqr(&m, &n, &n, a.data, &lda, reflectors.data(), work.data(), &size, &info);
}

/// [L V] := [L' 0] and the reflectors that do it, with upper triangular factors; signs of the
/// diagonal of L' vary.
template <class T>
void tplqt(MatrixView<T> l, MatrixView<T> v, MatrixView<T> factors) {
    const int m = int(l.rows), n = int(v.cols), group = int(factors.rows), rectangular = 0;
    const int ldl = int(l.ld), ldv = int(v.ld), ldf = int(factors.ld);
    std::vector<T> work(group * m);
    int info = 0;
    Fortran<T>::tplqt(&m, &n, &rectangular, &group, l.data, &ldl, v.data, &ldv, factors.data, &ldf,
                      work.data(), &info);
}

}  // namespace gprat::openblas
