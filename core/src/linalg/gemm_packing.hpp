#pragma once

#include <algorithm>

#include "gemm_kernel.hpp"
#include "gprat/linalg/blas.hpp"

// Packing copies an operand op(A) into panels: `Width` rows (or the columns of a right operand,
// which are rows of its transpose), inner index by inner index, padded with zeros to whole panels.
namespace gprat::packed {

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
    using Vector = typename Octet<T>::type;
    Vector r[8], s[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) r[i] = load_octet(from + i * from_ld);
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        s[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
        s[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
    }
#pragma GCC unroll 8
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

/// One panel of op(A), which starts at `a`; `rows` of the panel's width exist.
template <class T, int Width>
GPRAT_AVX512 void pack_panel(blas::Op op, const T* a, index_t ld, index_t rows, index_t depth,
                             T* panel) {
    index_t p = 0;
    if (rows == Width && op == blas::Op::none) {
        for (; p < depth; ++p)
#pragma GCC unroll 6
            for (int i = 0; i < Width; i += 8) {
                __builtin_prefetch(a + i + (p + 16) * ld);
                store_octet(panel + p * Width + i, load_octet(a + i + p * ld));
            }
    } else if (rows == Width) {
        for (; p + 8 <= depth; p += 8)
            for (int i = 0; i < Width; i += 8)
                transpose_square(a + p + i * ld, ld, panel + p * Width + i, Width);
    }
    for (; p < depth; ++p)
        for (index_t i = 0; i < Width; ++i)
            panel[p * Width + i] =
                i >= rows ? T(0) : op == blas::Op::none ? a[i + p * ld] : a[p + i * ld];
}

/// The reverse of `pack_panel`.
template <class T, int Width>
GPRAT_AVX512 void unpack_panel(blas::Op op, const T* panel, index_t rows, index_t depth, T* a,
                               index_t ld) {
    index_t p = 0;
    if (rows == Width && op == blas::Op::none) {
        for (; p < depth; ++p)
#pragma GCC unroll 6
            for (int i = 0; i < Width; i += 8)
                store_octet(a + i + p * ld, load_octet(panel + p * Width + i));
    } else if (rows == Width) {
        for (; p + 8 <= depth; p += 8)
            for (int i = 0; i < Width; i += 8)
                transpose_square(panel + p * Width + i, Width, a + p + i * ld, ld);
    }
    for (; p < depth; ++p)
        for (index_t i = 0; i < rows; ++i)
            (op == blas::Op::none ? a[i + p * ld] : a[p + i * ld]) = panel[p * Width + i];
}

/// The last panel of a left operand is only as many registers high as it must be.
template <class T>
constexpr int registers(index_t rows) {
    constexpr index_t lanes = Register<T>::lanes;
    return static_cast<int>(std::min<index_t>((rows + lanes - 1) / lanes, 3));
}

/// Calls f with a height of 1, 2 or 3 registers as a constant.
template <class F>
GPRAT_AVX512_INLINE void with_registers(int height, F&& f) {
    if (height == 3)
        f.template operator()<3>();
    else if (height == 2)
        f.template operator()<2>();
    else
        f.template operator()<1>();
}

/// Panel of the left operand op(A) that starts at row i; entries (i, p) of op(A).
template <class T>
const T* entry(blas::Op op, MatrixView<const T> a, index_t i, index_t p) {
    return op == blas::Op::none ? &a(i, p) : &a(p, i);
}

template <class T>
void pack_left_panel(blas::Op op, const T* a, index_t ld, index_t rows, index_t depth, T* panel) {
    with_registers(registers<T>(rows), [&]<int V>() {
        constexpr int width = V * static_cast<int>(Register<T>::lanes);
        pack_panel<T, width>(op, a, ld, std::min<index_t>(rows, width), depth, panel);
    });
}

}  // namespace gprat::packed
