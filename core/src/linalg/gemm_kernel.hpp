#pragma once

#include <algorithm>

#include "gprat/types.hpp"

// Only functions marked here are compiled for AVX-512. The mark replaces a compiler flag for the
// whole file, which would let inline functions of shared headers leak into other processors' code.
#if defined(__x86_64__)
#define GPRAT_AVX512 \
    __attribute__((target("avx512f,avx512dq,avx512vl,fma,prefer-vector-width=512")))
#else
#define GPRAT_AVX512
#endif
#define GPRAT_AVX512_INLINE GPRAT_AVX512 __attribute__((always_inline)) inline

namespace gprat::packed {

template <class T>
struct Register {
    static constexpr index_t lanes = 64 / sizeof(T);
    typedef T aligned_type __attribute__((vector_size(64), may_alias));
    typedef T type __attribute__((vector_size(64), aligned(alignof(T)), may_alias));
};

/// Left operands are packed in panels of `kRows<T>` rows, right ones in panels of `kColumns`
/// columns: 3 × 8 accumulators, 3 registers for the left operand, and the broadcasts in between
/// leave none of the 32 idle. In both, the entries of one inner index are adjacent.
template <class T>
inline constexpr index_t kRows = 3 * Register<T>::lanes;
inline constexpr index_t kColumns = 8;

/// A block of a product, V registers high, held in registers.
template <class T, int V>
struct Accumulator {
    typename Register<T>::aligned_type column[kColumns][V];
};

/// Returns A·B for a panel of A, V registers high, and a panel of B.
template <class T, int V>
GPRAT_AVX512_INLINE Accumulator<T, V> multiply(index_t depth, const T* a, const T* b) {
    using Vector = typename Register<T>::aligned_type;
    constexpr index_t lanes = Register<T>::lanes;
    Accumulator<T, V> sum{};
#pragma GCC unroll 4
    for (index_t p = 0; p < depth; ++p) {
        Vector left[V];
#pragma GCC unroll 3
        for (int v = 0; v < V; ++v) left[v] = *reinterpret_cast<const Vector*>(a + v * lanes);
#pragma GCC unroll 8
        for (int j = 0; j < kColumns; ++j)
#pragma GCC unroll 3
            for (int v = 0; v < V; ++v) sum.column[j][v] += left[v] * b[j];
        a += V * lanes;
        b += kColumns;
    }
    return sum;
}

/// The part of a block of C that a product is added to: `rows` × `columns`, without the entries
/// above the diagonal, which has its first row at `diagonal` in the block's first column.
struct Clip {
    index_t rows;
    index_t columns;
    index_t diagonal;
};

/// C := β·C + α·A·B for one pair of panels and a whole block of C.
template <class T, int V>
GPRAT_AVX512 void update_block(index_t depth, const T* a, const T* b, T alpha, T beta, T* c,
                               index_t ld) {
    using Vector = typename Register<T>::type;
    constexpr index_t lanes = Register<T>::lanes;
#pragma GCC unroll 8
    for (int j = 0; j < kColumns; ++j)
#pragma GCC unroll 3
        for (int v = 0; v < V; ++v) __builtin_prefetch(c + j * ld + v * lanes, 1);
    // Makes the compiler forget these addresses: kept for the write-back, they would take
    // registers from the product.
    asm("" : "+r"(c));
    const auto sum = multiply<T, V>(depth, a, b);
#pragma GCC unroll 8
    for (int j = 0; j < kColumns; ++j)
#pragma GCC unroll 3
        for (int v = 0; v < V; ++v) {
            auto* entries = reinterpret_cast<Vector*>(c + j * ld + v * lanes);
            if (beta == T(0))
                *entries = alpha * sum.column[j][v];
            else
                *entries = beta * *entries + alpha * sum.column[j][v];
        }
}

/// The same at an edge of C or across its diagonal.
template <class T, int V>
GPRAT_AVX512 void update_clipped_block(index_t depth, const T* a, const T* b, T alpha, T beta, T* c,
                                       index_t ld, Clip clip) {
    constexpr index_t height = V * Register<T>::lanes;
    alignas(64) T product[height * kColumns];
    *reinterpret_cast<Accumulator<T, V>*>(product) = multiply<T, V>(depth, a, b);
    for (index_t j = 0; j < clip.columns; ++j)
        for (index_t i = std::max<index_t>(j + clip.diagonal, 0); i < clip.rows; ++i) {
            const T added = alpha * product[i + j * height];
            c[i + j * ld] = beta == T(0) ? added : beta * c[i + j * ld] + added;
        }
}

enum class Direction { forward, backward };

/// X := (α·X − A·B)·D⁻¹ for a block X that lies in a packed panel: A are the columns of the panel
/// that are solved already, D is triangular (upper if solved forward, else lower) with the
/// reciprocals of its diagonal, by rows. A negative depth is none.
template <class T, int V, Direction direction>
GPRAT_AVX512 void solve_block(index_t depth, const T* a, const T* b, T alpha, const T* d, T* x) {
    using Vector = typename Register<T>::aligned_type;
    auto solution = multiply<T, V>(depth, a, b);
    auto* entries = reinterpret_cast<Vector*>(x);
#pragma GCC unroll 8
    for (int step = 0; step < kColumns; ++step) {
        const int j = direction == Direction::forward ? step : kColumns - 1 - step;
#pragma GCC unroll 3
        for (int v = 0; v < V; ++v) {
            Vector entry = alpha * entries[j * V + v] - solution.column[j][v];
#pragma GCC unroll 8
            for (int earlier = 0; earlier < step; ++earlier) {
                const int q = direction == Direction::forward ? earlier : kColumns - 1 - earlier;
                entry -= solution.column[q][v] * d[q * kColumns + j];
            }
            solution.column[j][v] = entry * d[j * kColumns + j];
            entries[j * V + v] = solution.column[j][v];
        }
    }
}

}  // namespace gprat::packed
