#include "gprat/covariance/block_math.hpp"

#include <cmath>
#include <numbers>

#include "gprat/covariance/dispatch.hpp"

namespace gprat::covariance::block_math {

namespace {

/// out(i) := function(i)
struct Map {
    template <int bytes, class T, class Function>
    GPRAT_INLINE static void run(index_t count, T* out, Function function) {
        GPRAT_INDEPENDENT
        for (index_t i = 0; i < count; ++i) out[i] = function(i);
    }
};

/// Σ term(i), in enough partial sums to keep the arithmetic units busy; `term(i, sum)` adds the
/// terms of one vector.
template <class T>
struct Reduce {
    template <int bytes, class Term>
    GPRAT_INLINE static double run(index_t count, Term term) {
        using V = typename Vector<T, bytes>::type;
        constexpr index_t lanes = Vector<T, bytes>::lanes;
        constexpr index_t chains = 4;
        V sums[chains] = {};
        const index_t in_chains = count - count % (chains * lanes);
        for (index_t i = 0; i < in_chains; i += chains * lanes)
#pragma GCC unroll 4
            for (index_t c = 0; c < chains; ++c) term(i + c * lanes, sums[c]);
        for (index_t i = in_chains; i < count; i += lanes) term(i, sums[0]);
        const V total = (sums[0] + sums[1]) + (sums[2] + sums[3]);
        double result = 0.0;
        for (index_t l = 0; l < lanes; ++l) result += static_cast<double>(total[l]);
        return result;
    }
};

template <class T>
GPRAT_INLINE T evaluate(const Quadratic<T>& p, T x) {
    return p.c0 + x * (p.c1 + x * p.c2);
}

}  // namespace

template <class T>
void scale_and_shift(index_t count, T alpha, const T* a, T beta, T* out) {
    dispatch<Map>(count, out, [=](index_t i) GPRAT_INLINE_LAMBDA { return alpha * a[i] + beta; });
}

template <class T>
void combine(index_t count, T alpha, const T* a, T beta, const T* b, T* out) {
    dispatch<Map>(count, out,
                  [=](index_t i) GPRAT_INLINE_LAMBDA { return alpha * a[i] + beta * b[i]; });
}

template <class T>
void multiply(index_t count, const T* a, const T* b, T* out) {
    dispatch<Map>(count, out, [=](index_t i) GPRAT_INLINE_LAMBDA { return a[i] * b[i]; });
}

template <class T>
void square(index_t count, T alpha, const T* a, T* out) {
    dispatch<Map>(count, out, [=](index_t i) GPRAT_INLINE_LAMBDA {
        const T base = alpha * a[i];
        return base * base;
    });
}

template <class T>
void cube(index_t count, T alpha, const T* a, T* out) {
    dispatch<Map>(count, out, [=](index_t i) GPRAT_INLINE_LAMBDA {
        const T base = alpha * a[i];
        return base * base * base;
    });
}

template <class T>
void square_root(index_t count, const T* a, T* out) {
    dispatch<Map>(count, out, [=](index_t i) GPRAT_INLINE_LAMBDA { return std::sqrt(a[i]); });
}

template <class T>
void scale_within(index_t count, T alpha, const T* a, T limit, T* out) {
    dispatch<Map>(count, out, [=](index_t i) GPRAT_INLINE_LAMBDA {
        const T value = alpha * a[i];
        return value > limit ? limit : value;
    });
}

template <class T>
void reduce_phase(index_t count, const T* x, T* out) {
    dispatch<Map>(count, out, [=](index_t i) GPRAT_INLINE_LAMBDA {
        return std::numbers::pi_v<T> * (x[i] - std::rint(x[i]));
    });
}

template <class T>
void multiply_polynomial(index_t count, Quadratic<T> p, const T* x, const T* a, T* out) {
    dispatch<Map>(count, out,
                  [=](index_t i) GPRAT_INLINE_LAMBDA { return a[i] * evaluate(p, x[i]); });
}

template <class T>
void multiply_ratio(index_t count, Quadratic<T> p, Quadratic<T> q, const T* x, const T* a,
                    const T* b, T* out) {
    // Multiplied first by the covariance, which has vanished where the polynomials are huge.
    dispatch<Map>(count, out, [=](index_t i) GPRAT_INLINE_LAMBDA {
        return a[i] * (b[i] * evaluate(p, x[i])) / evaluate(q, x[i]);
    });
}

template <class T>
void multiply_reciprocal(index_t count, const T* x, const T* a, const T* b, T* out) {
    dispatch<Map>(count, out, [=](index_t i) GPRAT_INLINE_LAMBDA {
        return x[i] > T(0) ? a[i] * b[i] / x[i] : T(0);
    });
}

template <class T>
double sum(index_t count, const T* a) {
    return dispatch<Reduce<T>>(
        count, [=]<class V>(index_t i, V& sum) GPRAT_INLINE_LAMBDA { sum += load<V>(a + i); });
}

template <class T>
double dot(index_t count, const T* a, const T* b) {
    return dispatch<Reduce<T>>(count, [=]<class V>(index_t i, V& sum) GPRAT_INLINE_LAMBDA {
        sum += load<V>(a + i) * load<V>(b + i);
    });
}

template <class T>
double dot(index_t count, const T* a, const T* b, const T* c) {
    return dispatch<Reduce<T>>(count, [=]<class V>(index_t i, V& sum) GPRAT_INLINE_LAMBDA {
        sum += load<V>(a + i) * load<V>(b + i) * load<V>(c + i);
    });
}

#define GPRAT_INSTANTIATE(T)                                                              \
    template void scale_and_shift(index_t, T, const T*, T, T*);                           \
    template void combine(index_t, T, const T*, T, const T*, T*);                         \
    template void multiply(index_t, const T*, const T*, T*);                              \
    template void square(index_t, T, const T*, T*);                                       \
    template void cube(index_t, T, const T*, T*);                                         \
    template void square_root(index_t, const T*, T*);                                     \
    template void scale_within(index_t, T, const T*, T, T*);                              \
    template void reduce_phase(index_t, const T*, T*);                                    \
    template void multiply_polynomial(index_t, Quadratic<T>, const T*, const T*, T*);     \
    template void multiply_ratio(index_t, Quadratic<T>, Quadratic<T>, const T*, const T*, \
                                 const T*, T*);                                           \
    template void multiply_reciprocal(index_t, const T*, const T*, const T*, T*);         \
    template double sum(index_t, const T*);                                               \
    template double dot(index_t, const T*, const T*);                                     \
    template double dot(index_t, const T*, const T*, const T*);
GPRAT_INSTANTIATE(double)
GPRAT_INSTANTIATE(float)
#undef GPRAT_INSTANTIATE

}  // namespace gprat::covariance::block_math
