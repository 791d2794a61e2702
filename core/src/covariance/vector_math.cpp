// The C library declares its vector functions only under fast-math. This file alone is compiled
// with it, so nothing here may test for NaN or infinity.
#include "gprat/covariance/vector_math.hpp"

#include <cmath>

#include "gprat/covariance/dispatch.hpp"

namespace gprat::covariance::vector_math {

namespace {

/// Arguments below give 0: exp of it is still a normal number.
template <class T>
constexpr T kLowestExponent = sizeof(T) == 8 ? T(-708) : T(-87);

struct Exponential {
    template <int bytes, class T>
    GPRAT_INLINE static void run(index_t count, T factor, const T* x, T* y) {
        constexpr T lowest = kLowestExponent<T>;
        GPRAT_INDEPENDENT
        for (index_t i = 0; i < count; ++i) {
            const T argument = factor * x[i];
            const T value = std::exp(argument > lowest ? argument : lowest);
            y[i] = argument > lowest ? value : T(0);
        }
    }
};

struct LogOnePlus {
    template <int bytes, class T>
    GPRAT_INLINE static void run(index_t count, const T* x, T* y) {
        GPRAT_INDEPENDENT
        for (index_t i = 0; i < count; ++i) y[i] = std::log1p(x[i]);
    }
};

struct Sine {
    template <int bytes, class T>
    GPRAT_INLINE static void run(index_t count, T factor, const T* x, T* y) {
        GPRAT_INDEPENDENT
        for (index_t i = 0; i < count; ++i) y[i] = std::sin(factor * x[i]);
    }
};

struct Angle {
    template <int bytes, class T>
    GPRAT_INLINE static void run(index_t count, const T* difference, const T* sum, T* y) {
        for (index_t i = 0; i < count; ++i)
            y[i] = T(2) * std::atan2(std::sqrt(difference[i]), std::sqrt(sum[i]));
    }
};

struct Power {
    template <int bytes, class T>
    GPRAT_INLINE static void run(index_t count, T factor, const T* x, T exponent, T* y) {
        GPRAT_INDEPENDENT
        for (index_t i = 0; i < count; ++i) y[i] = std::pow(factor * x[i], exponent);
    }
};

}  // namespace

template <class T>
void exponential(index_t count, T factor, const T* x, T* y) {
    dispatch<Exponential>(count, factor, x, y);
}

template <class T>
void log_one_plus(index_t count, const T* x, T* y) {
    dispatch<LogOnePlus>(count, x, y);
}

template <class T>
void sine(index_t count, T factor, const T* x, T* y) {
    dispatch<Sine>(count, factor, x, y);
}

template <class T>
void angle(index_t count, const T* difference, const T* sum, T* y) {
    dispatch<Angle>(count, difference, sum, y);
}

template <class T>
void power(index_t count, T factor, const T* x, T exponent, T* y) {
    dispatch<Power>(count, factor, x, exponent, y);
}

#define GPRAT_INSTANTIATE(T)                              \
    template void exponential(index_t, T, const T*, T*);  \
    template void log_one_plus(index_t, const T*, T*);    \
    template void sine(index_t, T, const T*, T*);         \
    template void angle(index_t, const T*, const T*, T*); \
    template void power(index_t, T, const T*, T, T*);
GPRAT_INSTANTIATE(double)
GPRAT_INSTANTIATE(float)
#undef GPRAT_INSTANTIATE

}  // namespace gprat::covariance::vector_math
