#pragma once

#include "gprat/types.hpp"

/// Loops over plain arrays, compiled once for each instruction set below and chosen at run time, so
/// that one binary runs everywhere and uses wide vectors where the processor has them.
///
/// A loop is a struct with `template <int bytes, class... Args> static auto run(Args...)`, marked
/// GPRAT_INLINE so that it takes over the target of its caller; `bytes` is the width of a vector.
#define GPRAT_INLINE __attribute__((always_inline)) inline
#define GPRAT_INLINE_LAMBDA __attribute__((always_inline))

#if defined(__x86_64__)
#define GPRAT_TARGET_AVX2 __attribute__((target("avx2,fma")))
#if defined(__clang__)
#define GPRAT_TARGET_AVX512 __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma")))
#else
#define GPRAT_TARGET_AVX512 \
    __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma,prefer-vector-width=512")))
#endif
#endif

/// Promises GCC that the iterations of the loop that follows are independent of each other. Clang
/// finds out at run time, and would warn of loops that it cannot vectorise.
#if defined(__clang__)
#define GPRAT_INDEPENDENT
#else
#define GPRAT_INDEPENDENT _Pragma("GCC ivdep")
#endif

namespace gprat::covariance {

enum class InstructionSet { baseline, avx2, avx512 };

/// The instruction set in use: the best that this processor has, unless limited.
InstructionSet instruction_set();

/// Uses nothing above `best` from now on, in this process: lets tests run every version.
void limit_instruction_set(InstructionSet best);

/// Arrays on which the loops run start at, and are padded to, multiples of this many bytes.
inline constexpr index_t kAlignment = 64;

/// How many numbers of type T that is. No loop has a remainder, whatever the vector's width.
template <class T>
inline constexpr index_t kLanes = kAlignment / static_cast<index_t>(sizeof(T));

/// A vector of `bytes` bytes.
template <class T, int bytes>
struct Vector {
    typedef T type __attribute__((vector_size(bytes), may_alias));
    static constexpr index_t lanes = bytes / static_cast<index_t>(sizeof(T));
};

/// The vector that starts at `address`.
template <class V, class T>
GPRAT_INLINE const V& load(const T* address) {
    return *reinterpret_cast<const V*>(address);
}

namespace detail {

#if defined(__x86_64__)
template <class Loop, class... Args>
GPRAT_TARGET_AVX512 auto run_avx512(Args... args) {
    return Loop::template run<64>(args...);
}

template <class Loop, class... Args>
GPRAT_TARGET_AVX2 auto run_avx2(Args... args) {
    return Loop::template run<32>(args...);
}
#endif

template <class Loop, class... Args>
auto run_baseline(Args... args) {
    return Loop::template run<16>(args...);
}

}  // namespace detail

/// Runs the version of `Loop` for the instruction set in use.
template <class Loop, class... Args>
auto dispatch(Args... args) {
#if defined(__x86_64__)
    switch (instruction_set()) {
        case InstructionSet::avx512:
            return detail::run_avx512<Loop>(args...);
        case InstructionSet::avx2:
            return detail::run_avx2<Loop>(args...);
        case InstructionSet::baseline:
            break;
    }
#endif
    return detail::run_baseline<Loop>(args...);
}

}  // namespace gprat::covariance
