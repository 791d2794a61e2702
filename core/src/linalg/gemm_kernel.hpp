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

/// A panel of an operand, whose entries of one inner index are adjacent, `step` from those of the
/// next. Packed panels have their width as step; others are read where they are stored.
template <class T>
struct Panel {
    const T* data;
    index_t step;

    GPRAT_AVX512_INLINE const T& operator[](index_t j) const { return data[j]; }
    GPRAT_AVX512_INLINE void advance() { data += step; }
};

/// A panel of a right operand that is stored by columns, `ld` apart.
template <class T>
struct ColumnPanel {
    const T* data;
    index_t ld;

    GPRAT_AVX512_INLINE const T& operator[](index_t j) const { return data[j * ld]; }
    GPRAT_AVX512_INLINE void advance() { ++data; }
};

/// Lines of memory to ask for while a product is computed, one every few inner indices, so that
/// what comes next has arrived by then. A step of zero asks for one line again and again, which
/// costs nothing.
struct Ahead {
    const char* line;
    index_t step;
};
inline constexpr index_t kIndicesPerLine = 4;

/// Adds A·B for the next inner index of a panel of A, V registers high, and a panel of B.
template <class T, int V, class Right>
GPRAT_AVX512_INLINE void add_product(Accumulator<T, V>& sum, Panel<T>& a, Right& b) {
    using Vector = typename Register<T>::aligned_type;
    Vector left[V];
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v)
        left[v] = *reinterpret_cast<const Vector*>(a.data + v * Register<T>::lanes);
#pragma GCC unroll 8
    for (int j = 0; j < kColumns; ++j)
#pragma GCC unroll 3
        for (int v = 0; v < V; ++v) sum.column[j][v] += left[v] * b[j];
    a.advance();
    b.advance();
}

/// The same for the next `depth` inner indices.
template <class T, int V, class Right>
GPRAT_AVX512_INLINE void add_products(Accumulator<T, V>& sum, index_t depth, Panel<T>& a, Right& b,
                                      Ahead& ahead) {
    index_t p = 0;
    for (; p + kIndicesPerLine <= depth; p += kIndicesPerLine) {
        __builtin_prefetch(ahead.line, 0, 2);
        ahead.line += ahead.step;
#pragma GCC unroll 4
        for (index_t q = 0; q < kIndicesPerLine; ++q) add_product(sum, a, b);
    }
    for (; p < depth; ++p) add_product(sum, a, b);
}

/// Returns A·B for a panel of A, V registers high, and a panel of B.
template <class T, int V, class Right>
GPRAT_AVX512_INLINE Accumulator<T, V> multiply(index_t depth, Panel<T> a, Right b, Ahead ahead) {
    Accumulator<T, V> sum{};
    add_products(sum, depth, a, b, ahead);
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
template <class T, int V, class Right>
GPRAT_AVX512 void update_block(index_t depth, Panel<T> a, Right b, T alpha, T beta, T* c,
                               index_t ld, Ahead ahead) {
    using Vector = typename Register<T>::type;
    constexpr index_t lanes = Register<T>::lanes;
    Accumulator<T, V> sum{};
    // The block of C is asked for shortly before it is needed: earlier, the panels would drive it
    // out of the first-level cache again.
    const index_t last = std::min<index_t>(depth, 48);
    add_products(sum, depth - last, a, b, ahead);
#pragma GCC unroll 8
    for (int j = 0; j < kColumns; ++j)
#pragma GCC unroll 3
        for (int v = 0; v < V; ++v) __builtin_prefetch(c + j * ld + v * lanes, 1);
    // Makes the compiler forget these addresses: kept for the write-back, they would take
    // registers from the product.
    asm("" : "+r"(c));
    add_products(sum, last, a, b, ahead);
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
template <class T, int V, class Right>
GPRAT_AVX512 void update_clipped_block(index_t depth, Panel<T> a, Right b, T alpha, T beta, T* c,
                                       index_t ld, Clip clip, Ahead ahead) {
    constexpr index_t height = V * Register<T>::lanes;
    alignas(64) T product[height * kColumns];
    *reinterpret_cast<Accumulator<T, V>*>(product) = multiply<T, V>(depth, a, b, ahead);
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
    const Ahead nothing{reinterpret_cast<const char*>(b), 0};
    auto solution =
        multiply<T, V>(depth, Panel<T>{a, V * Register<T>::lanes}, Panel<T>{b, kColumns}, nothing);
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
