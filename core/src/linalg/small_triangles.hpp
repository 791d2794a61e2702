#pragma once

#include <cmath>
#include <limits>

#include "gemm_kernel.hpp"

/// Where the recursions of `blas` end: triangular operations of order up to `kOrder`, column by
/// column in a local square that is as wide as whole registers. Only with AVX-512.
namespace gprat::small {

inline constexpr index_t kOrder = 32;

template <class T>
struct Column {
    static constexpr index_t lanes = packed::Register<T>::lanes;
    static constexpr int registers = kOrder / lanes;
    typename packed::Register<T>::aligned_type part[registers];

    T& operator[](index_t i) { return reinterpret_cast<T*>(part)[i]; }

    GPRAT_AVX512_INLINE void add(const Column& other, T factor) {
#pragma GCC unroll 4
        for (int r = 0; r < registers; ++r) part[r] += other.part[r] * factor;
    }
    GPRAT_AVX512_INLINE void scale(T factor) {
#pragma GCC unroll 4
        for (int r = 0; r < registers; ++r) part[r] *= factor;
    }
};

/// Copies the lower triangle of A, which lies in zeros, to and from a square.
template <class T>
struct Square {
    Column<T> column[kOrder] = {};

    Column<T>& operator[](index_t j) { return column[j]; }

    void load(MatrixView<const T> a) {
        for (index_t j = 0; j < a.cols; ++j)
            for (index_t i = j; i < a.rows; ++i) column[j][i] = a(i, j);
    }
    void load_transposed(MatrixView<const T> a) {
        for (index_t j = 0; j < a.cols; ++j)
            for (index_t i = j; i < a.rows; ++i) column[i][j] = a(i, j);
    }
    void store(MatrixView<T> a) {
        for (index_t j = 0; j < a.cols; ++j)
            for (index_t i = j; i < a.rows; ++i) a(i, j) = column[j][i];
    }
    void store_transposed(MatrixView<T> a) {
        for (index_t j = 0; j < a.cols; ++j)
            for (index_t i = j; i < a.rows; ++i) a(i, j) = column[i][j];
    }
};

template <class T>
GPRAT_AVX512 index_t potrf(MatrixView<T> a) {
    Square<T> l;
    l.load(a);
    index_t failed = -1;
    for (index_t j = 0; j < a.cols; ++j) {
        Column<T> column = l[j];
        for (index_t p = 0; p < j; ++p) column.add(l[p], -l[p][j]);
        const T pivot = column[j];
        const bool is_positive = pivot > T(0) && pivot <= std::numeric_limits<T>::max();
        if (is_positive) column.scale(T(1) / std::sqrt(pivot));
        l[j] = column;
        if (!is_positive) {
            failed = j;
            break;
        }
    }
    l.store(a);
    return failed;
}

/// Forward substitution with the identity, row by row: of the ways to invert it is one that keeps
/// L·L⁻¹ − I small (Higham 2002, §14.2).
template <class T>
GPRAT_AVX512 void trtri(MatrixView<T> l) {
    Square<T> row;
    for (index_t i = 0; i < l.rows; ++i) {
        const T reciprocal = T(1) / l(i, i);
        Column<T> sum{};
        for (index_t p = 0; p < i; ++p) sum.add(row[p], l(i, p));
        sum.scale(-reciprocal);
        sum[i] = reciprocal;
        row[i] = sum;
    }
    row.store_transposed(l);
}

/// LᵀL is the sum of the outer products of the rows of L.
template <class T>
GPRAT_AVX512 void lauum(MatrixView<T> l) {
    Square<T> row, product;
    row.load_transposed(l);
    for (index_t j = 0; j < l.cols; ++j)
        for (index_t p = j; p < l.rows; ++p) product[j].add(row[p], row[p][j]);
    product.store(l);
}

}  // namespace gprat::small
