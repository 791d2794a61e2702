#include "gprat/covariance/pair_math.hpp"

#include <algorithm>
#include <limits>

#include "gprat/covariance/dispatch.hpp"

namespace gprat::covariance::pair_math {

namespace {

/// With these many columns at once, sums of a panel take half of the registers and their chains of
/// dependent additions keep every arithmetic unit busy.
template <int bytes>
constexpr int kColumnsAtOnce = bytes / 8;

/// The terms of a sum over features, and what becomes of the sum.
template <class T>
struct PlainSquare {
    T scale;
    template <class V>
    GPRAT_INLINE void add(V& sum, const V& x, T y, index_t) const {
        const V difference = x - y;
        sum += difference * difference;
    }
    template <class V>
    GPRAT_INLINE void finish(V& sum) const {
        const V huge = V{} + kHuge<T>;
        sum = sum > huge ? huge : sum;  // an infinite sum times a scale of 0 would be NaN
        sum *= scale;
        sum = sum > huge ? huge : sum;
    }
};

template <class T>
struct ScaledSquare {
    const T* factor;
    template <class V>
    GPRAT_INLINE void add(V& sum, const V& x, T y, index_t feature) const {
        const V difference = (x - y) * factor[feature];
        sum += difference * difference;
    }
    template <class V>
    GPRAT_INLINE void finish(V& sum) const {
        const V huge = V{} + kHuge<T>;
        sum = sum > huge ? huge : sum;
    }
};

template <class T>
struct PlainProduct {
    T shift;
    template <class V>
    GPRAT_INLINE void add(V& sum, const V& x, T y, index_t) const {
        sum += x * y;
    }
    template <class V>
    GPRAT_INLINE void finish(V& sum) const {
        sum += shift;
    }
};

struct SumOverFeatures {
    /// A panel against `count` columns, all sums in registers.
    template <int bytes, int count, class T, class Term>
    GPRAT_INLINE static void run_panel(index_t features, const T* panel, const T* columns,
                                       const Term& term, T* out, index_t stride) {
        using V = typename Vector<T, bytes>::type;
        constexpr int vectors = kAlignment / bytes;
        V sums[count][vectors] = {};
        for (index_t f = 0; f < features; ++f) {
            const auto* x = reinterpret_cast<const V*>(panel + f * kLanes<T>);
#pragma GCC unroll 8
            for (int c = 0; c < count; ++c)
#pragma GCC unroll 4
                for (int v = 0; v < vectors; ++v)
                    term.add(sums[c][v], x[v], columns[c * features + f], f);
        }
#pragma GCC unroll 8
        for (int c = 0; c < count; ++c)
#pragma GCC unroll 4
            for (int v = 0; v < vectors; ++v) {
                term.finish(sums[c][v]);
                reinterpret_cast<V*>(out + c * stride)[v] = sums[c][v];
            }
    }

    template <int bytes, class T, class Term>
    GPRAT_INLINE static void run(BlockShape shape, const T* rows, const T* columns, Term term,
                                 T* out) {
        constexpr int at_once = kColumnsAtOnce<bytes>;
        const index_t stride = shape.panels * kLanes<T>;
        const index_t panel_size = shape.features * kLanes<T>;
        index_t j = 0;
        for (; j + at_once <= shape.columns; j += at_once)
            for (index_t p = 0; p < shape.panels; ++p)
                run_panel<bytes, at_once>(shape.features, rows + p * panel_size,
                                          columns + j * shape.features, term,
                                          out + j * stride + p * kLanes<T>, stride);
        for (; j < shape.columns; ++j)
            for (index_t p = 0; p < shape.panels; ++p)
                run_panel<bytes, 1>(shape.features, rows + p * panel_size,
                                    columns + j * shape.features, term,
                                    out + j * stride + p * kLanes<T>, stride);
    }
};

struct WeightedSquares {
    /// partial(f) += Σ_j weights(j)·(x(f) − columns(j, f))² for `count` features from `columns` on,
    /// all of these and the rows' coordinates in registers.
    template <int bytes, int count, class T>
    GPRAT_INLINE static void run_features(const BlockShape& shape, const T* panel, const T* columns,
                                          const T* weights, T* partial) {
        using V = typename Vector<T, bytes>::type;
        const index_t stride = shape.panels * kLanes<T>;
        V x[count], sums[count];
#pragma GCC unroll 8
        for (int f = 0; f < count; ++f) {
            x[f] = *reinterpret_cast<const V*>(panel + f * kLanes<T>);
            sums[f] = *reinterpret_cast<const V*>(partial + f * kLanes<T>);
        }
        for (index_t j = 0; j < shape.columns; ++j) {
            const V weight = *reinterpret_cast<const V*>(weights + j * stride);
#pragma GCC unroll 8
            for (int f = 0; f < count; ++f) {
                const V difference = x[f] - columns[j * shape.features + f];
                // In this order a vanished weight wins over a square that would overflow.
                sums[f] += (weight * difference) * difference;
            }
        }
#pragma GCC unroll 8
        for (int f = 0; f < count; ++f) *reinterpret_cast<V*>(partial + f * kLanes<T>) = sums[f];
    }

    /// All features of one vector of rows, as many at once as registers allow.
    template <int bytes, int at_once, class T>
    GPRAT_INLINE static index_t run_rows(const BlockShape& shape, index_t first, const T* panel,
                                         const T* columns, const T* weights, T* partial) {
        index_t f = first;
        for (; f + at_once <= shape.features; f += at_once)
            run_features<bytes, at_once>(shape, panel + f * kLanes<T>, columns + f, weights,
                                         partial + f * kLanes<T>);
        return f;
    }

    template <int bytes, class T>
    GPRAT_INLINE static void run(BlockShape shape, const T* rows, const T* columns,
                                 const T* weights, T* partial, double* sums) {
        constexpr index_t lanes = Vector<T, bytes>::lanes;
        constexpr int at_once = bytes == 64 ? 8 : 4;
        const index_t panel_size = shape.features * kLanes<T>;
        std::fill_n(partial, panel_size, T(0));
        for (index_t p = 0; p < shape.panels; ++p)
            for (index_t l = 0; l < kLanes<T>; l += lanes) {
                const T* panel = rows + p * panel_size + l;
                const T* weight = weights + p * kLanes<T> + l;
                index_t f = run_rows<bytes, at_once>(shape, 0, panel, columns, weight, partial + l);
                f = run_rows<bytes, 4>(shape, f, panel, columns, weight, partial + l);
                f = run_rows<bytes, 2>(shape, f, panel, columns, weight, partial + l);
                run_rows<bytes, 1>(shape, f, panel, columns, weight, partial + l);
            }
        for (index_t f = 0; f < shape.features; ++f) {
            sums[f] = 0.0;
            for (index_t l = 0; l < kLanes<T>; ++l)
                sums[f] += static_cast<double>(partial[f * kLanes<T> + l]);
        }
    }
};

struct PointSums {
    template <bool difference, class V, class T>
    GPRAT_INLINE static void add(const V& x, T y, const V& weight, V& row_sum, V& column_sum) {
        if constexpr (difference) {
            const V term = weight * (x - y);
            row_sum += term;
            column_sum -= term;
        } else {
            row_sum += weight * y;
            column_sum += weight * x;
        }
    }

    template <bool difference, int bytes, class T>
    GPRAT_INLINE static void run_term(const BlockShape& shape, const T* rows, const T* columns,
                                      const T* weights, T* row_sums, double* column_sums) {
        using V = typename Vector<T, bytes>::type;
        constexpr index_t lanes = Vector<T, bytes>::lanes;
        const index_t stride = shape.panels * kLanes<T>;
        for (index_t f = 0; f < shape.features; ++f)
            for (index_t j = 0; j < shape.columns; ++j) {
                V column_sum = {};
                for (index_t p = 0; p < shape.panels; ++p)
                    for (index_t l = 0; l < kLanes<T>; l += lanes) {
                        const index_t at = (p * shape.features + f) * kLanes<T> + l;
                        V row_sum = j == 0 ? V{} : load<V>(row_sums + at);
                        add<difference>(load<V>(rows + at), columns[j * shape.features + f],
                                        load<V>(weights + j * stride + p * kLanes<T> + l), row_sum,
                                        column_sum);
                        *reinterpret_cast<V*>(row_sums + at) = row_sum;
                    }
                double sum = 0.0;
                for (index_t l = 0; l < lanes; ++l) sum += static_cast<double>(column_sum[l]);
                column_sums[j * shape.features + f] = sum;
            }
    }

    template <int bytes, class T>
    GPRAT_INLINE static void run(BlockShape shape, PairTerm term, const T* rows, const T* columns,
                                 const T* weights, T* row_sums, double* column_sums) {
        if (term == PairTerm::difference)
            run_term<true, bytes>(shape, rows, columns, weights, row_sums, column_sums);
        else
            run_term<false, bytes>(shape, rows, columns, weights, row_sums, column_sums);
    }
};

struct PackRows {
    template <int bytes, class T>
    GPRAT_INLINE static void run(index_t count, index_t features, const T* points, const T* factor,
                                 T* packed) {
        constexpr T largest = std::numeric_limits<T>::max() / 2;  // differences stay finite
        for (index_t first = 0; first < count; first += kLanes<T>)
            for (index_t f = 0; f < features; ++f, packed += kLanes<T>)
                for (index_t l = 0; l < kLanes<T>; ++l) {
                    const index_t row = std::min(first + l, count - 1);
                    const T value = points[row * features + f] * factor[f];
                    packed[l] = value < -largest ? -largest : value > largest ? largest : value;
                }
    }
};

struct PackColumns {
    template <int bytes, class T>
    GPRAT_INLINE static void run(index_t count, index_t features, const T* points, const T* factor,
                                 T* packed) {
        constexpr T largest = std::numeric_limits<T>::max() / 2;
        for (index_t j = 0; j < count; ++j) {
            const T* point = points + j * features;
            T* out = packed + j * features;
            GPRAT_INDEPENDENT
            for (index_t f = 0; f < features; ++f) {
                const T value = point[f] * factor[f];
                out[f] = value < -largest ? -largest : value > largest ? largest : value;
            }
        }
    }
};

}  // namespace

template <class T>
void pack_rows(index_t count, index_t features, const T* points, const T* factor, T* packed) {
    dispatch<PackRows>(count, features, points, factor, packed);
}

template <class T>
void pack_columns(index_t count, index_t features, const T* points, const T* factor, T* packed) {
    dispatch<PackColumns>(count, features, points, factor, packed);
}

template <class T>
void squared_distances(const BlockShape& shape, const T* rows, const T* columns, T scale,
                       T* squares) {
    dispatch<SumOverFeatures>(shape, rows, columns, PlainSquare<T>{scale}, squares);
}

template <class T>
void scaled_squared_distances(const BlockShape& shape, const T* rows, const T* columns,
                              const T* factor, T* squares) {
    dispatch<SumOverFeatures>(shape, rows, columns, ScaledSquare<T>{factor}, squares);
}

template <class T>
void dot_products(const BlockShape& shape, const T* rows, const T* columns, T shift, T* products) {
    dispatch<SumOverFeatures>(shape, rows, columns, PlainProduct<T>{shift}, products);
}

template <class T>
void weighted_squares(const BlockShape& shape, const T* rows, const T* columns, const T* weights,
                      T* scratch, double* sums) {
    dispatch<WeightedSquares>(shape, rows, columns, weights, scratch, sums);
}

template <class T>
void point_sums(const BlockShape& shape, PairTerm term, const T* rows, const T* columns,
                const T* weights, T* row_sums, double* column_sums) {
    dispatch<PointSums>(shape, term, rows, columns, weights, row_sums, column_sums);
}

#define GPRAT_INSTANTIATE(T)                                                                      \
    template void pack_rows(index_t, index_t, const T*, const T*, T*);                            \
    template void pack_columns(index_t, index_t, const T*, const T*, T*);                         \
    template void squared_distances(const BlockShape&, const T*, const T*, T, T*);                \
    template void scaled_squared_distances(const BlockShape&, const T*, const T*, const T*, T*);  \
    template void dot_products(const BlockShape&, const T*, const T*, T, T*);                     \
    template void weighted_squares(const BlockShape&, const T*, const T*, const T*, T*, double*); \
    template void point_sums(const BlockShape&, PairTerm, const T*, const T*, const T*, T*,       \
                             double*);
GPRAT_INSTANTIATE(double)
GPRAT_INSTANTIATE(float)
#undef GPRAT_INSTANTIATE

}  // namespace gprat::covariance::pair_math
