#pragma once

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace gprat::tasks {

/// While it lives, subnormal numbers count as zero on this thread: arithmetic on them is a hundred
/// times slower, and kernels of distant points are full of them.
class FlushSubnormals {
public:
    FlushSubnormals(const FlushSubnormals&) = delete;
    FlushSubnormals& operator=(const FlushSubnormals&) = delete;

#if defined(__SSE2__)
    FlushSubnormals() : saved_(_mm_getcsr()) {
        _mm_setcsr(saved_ | kFlushToZero | kDenormalsAreZero);
    }
    ~FlushSubnormals() { _mm_setcsr(saved_); }

private:
    static constexpr unsigned kFlushToZero = 0x8000;
    static constexpr unsigned kDenormalsAreZero = 0x0040;
    unsigned saved_;
#else
    FlushSubnormals() {}
    ~FlushSubnormals() {}
#endif
};

}  // namespace gprat::tasks
