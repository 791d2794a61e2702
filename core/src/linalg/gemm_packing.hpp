#pragma once

#include <algorithm>

#include "gemm_kernel.hpp"
#include "gprat/linalg/blas.hpp"

namespace gprat::packed {

/// op(A), by the place where A is stored.
template <class T>
struct Operand {
    blas::Op op;
    MatrixView<const T> stored;

    bool is_transposed() const { return op == blas::Op::transpose; }
    index_t rows() const { return is_transposed() ? stored.cols : stored.rows; }
    index_t cols() const { return is_transposed() ? stored.rows : stored.cols; }
    Operand block(index_t i, index_t j, index_t block_rows, index_t block_cols) const {
        return {op, is_transposed() ? stored.block(j, i, block_cols, block_rows)
                                    : stored.block(i, j, block_rows, block_cols)};
    }
    Operand transposed() const {
        return {is_transposed() ? blas::Op::none : blas::Op::transpose, stored};
    }
};

/// Eight numbers: the granule of every panel width.
template <class T>
struct Octet {
    typedef T type __attribute__((vector_size(8 * sizeof(T)), aligned(alignof(T)), may_alias));
};

template <class T>
GPRAT_AVX512_INLINE typename Octet<T>::type load_octet(const T* from) {
    return *reinterpret_cast<const typename Octet<T>::type*>(from);
}

template <class T>
GPRAT_AVX512_INLINE void store_octet(T* to, typename Octet<T>::type octet) {
    *reinterpret_cast<typename Octet<T>::type*>(to) = octet;
}

/// Transposes an 8 × 8 block between two places by exchanging ever larger squares.
template <class T>
GPRAT_AVX512_INLINE void transpose_square(const T* from, index_t from_ld, T* to, index_t to_ld) {
    typename Octet<T>::type r[8], s[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) r[i] = load_octet(from + i * from_ld);
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        s[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
        s[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
    }
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
        const int i = k % 2 + k / 2 * 4;
        r[i] = __builtin_shufflevector(s[i], s[i + 2], 0, 1, 8, 9, 4, 5, 12, 13);
        r[i + 2] = __builtin_shufflevector(s[i], s[i + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
        store_octet(to + i * to_ld,
                    __builtin_shufflevector(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11));
        store_octet(to + (i + 4) * to_ld,
                    __builtin_shufflevector(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15));
    }
}

/// Packs whole panels of an untransposed A column by column, in the order of memory, and asks for
/// what comes soon: the hardware does not look across the end of a column.
template <class T, index_t width>
GPRAT_AVX512 void pack_columns(const T* a, index_t ld, index_t panels, index_t depth, T* packed,
                               index_t panel_depth) {
    constexpr index_t columns_ahead = 4;
    for (index_t p = 0; p < depth; ++p)
        for (index_t panel = 0; panel < panels; ++panel) {
            const T* from = a + p * ld + panel * width;
            T* to = packed + (panel * panel_depth + p) * width;
#pragma GCC unroll 6
            for (index_t i = 0; i < width; i += 8) {
                __builtin_prefetch(from + i + columns_ahead * ld);
                store_octet(to + i, load_octet(from + i));
            }
        }
}

/// Packs a whole panel of Aᵀ.
template <class T, index_t width>
GPRAT_AVX512 void pack_rows(const T* a, index_t ld, index_t depth, T* panel) {
    index_t p = 0;
    for (; p + 8 <= depth; p += 8)
        for (index_t i = 0; i < width; i += 8)
            transpose_square(a + p + i * ld, ld, panel + p * width + i, width);
    for (; p < depth; ++p)
        for (index_t i = 0; i < width; ++i) panel[p * width + i] = a[p + i * ld];
}

/// Packs the panel at the end that op(A) does not fill.
template <class T, index_t width>
GPRAT_AVX512 void pack_partial_panel(const Operand<T>& a, T* panel) {
    const index_t row_step = a.is_transposed() ? a.stored.ld : 1;
    const index_t column_step = a.is_transposed() ? 1 : a.stored.ld;
    for (index_t p = 0; p < a.cols(); ++p)
        for (index_t i = 0; i < width; ++i)
            panel[p * width + i] =
                i < a.rows() ? a.stored.data[i * row_step + p * column_step] : T(0);
}

/// Copies op(A) into panels of `width` rows, inner index (column) by inner index, filled up with
/// zero rows. One panel begins width·panel_depth entries after the other; op(A) begins at inner
/// index `first` of them.
template <class T, index_t width>
void pack_panels(const Operand<T>& a, T* packed, index_t panel_depth, index_t first) {
    packed += first * width;
    const index_t panels = a.rows() / width;
    if (a.is_transposed())
        for (index_t panel = 0; panel < panels; ++panel)
            pack_rows<T, width>(a.stored.column(panel * width), a.stored.ld, a.cols(),
                                packed + panel * width * panel_depth);
    else
        pack_columns<T, width>(a.stored.data, a.stored.ld, panels, a.cols(), packed, panel_depth);
    const index_t done = panels * width;
    if (done < a.rows())
        pack_partial_panel<T, width>(a.block(done, 0, a.rows() - done, a.cols()),
                                     packed + done * panel_depth);
}

/// The reverse for one panel: op(A) := panel, as far as op(A) reaches.
template <class T, index_t width>
GPRAT_AVX512 void unpack_panel(const T* panel, blas::Op op, MatrixView<T> a) {
    const bool is_transposed = op == blas::Op::transpose;
    const index_t rows = is_transposed ? a.cols : a.rows;
    const index_t depth = is_transposed ? a.rows : a.cols;
    index_t p = 0;
    if (rows == width && !is_transposed)
        for (; p < depth; ++p)
#pragma GCC unroll 6
            for (index_t i = 0; i < width; i += 8)
                store_octet(&a(i, p), load_octet(panel + p * width + i));
    else if (rows == width)
        for (; p + 8 <= depth; p += 8)
            for (index_t i = 0; i < width; i += 8)
                transpose_square(panel + p * width + i, width, &a(p, i), a.ld);
    for (; p < depth; ++p)
        for (index_t i = 0; i < rows; ++i)
            (is_transposed ? a(p, i) : a(i, p)) = panel[p * width + i];
}

/// Calls f with the height of a panel of a left operand, in registers, as a constant: the last
/// panel is only as high as it must be.
template <class T, class F>
void with_height(index_t rows, F&& f) {
    constexpr index_t lanes = Register<T>::lanes;
    if (rows > 2 * lanes)
        f.template operator()<3>();
    else if (rows > lanes)
        f.template operator()<2>();
    else
        f.template operator()<1>();
}

template <class T>
void pack_left(const Operand<T>& a, T* packed, index_t panel_depth, index_t first = 0) {
    const index_t whole = a.rows() / kRows<T> * kRows<T>;
    const index_t rest = a.rows() - whole;
    if (whole > 0)
        pack_panels<T, kRows<T>>(a.block(0, 0, whole, a.cols()), packed, panel_depth, first);
    if (rest > 0)
        with_height<T>(rest, [&]<int V>() {
            pack_panels<T, V * Register<T>::lanes>(a.block(whole, 0, rest, a.cols()),
                                                   packed + whole * panel_depth, panel_depth,
                                                   first);
        });
}

template <class T>
void pack_right(const Operand<T>& b, T* packed, index_t panel_depth, index_t first = 0) {
    pack_panels<T, kColumns>(b.transposed(), packed, panel_depth, first);
}

}  // namespace gprat::packed
