#pragma once

#include <cmath>
#include <cstdio>

/// What a plain test program needs: conditions that are counted, and an exit status.
namespace gprat::check {

inline int count = 0;
inline int failures = 0;

inline void record(bool passed, const char* condition, const char* file, int line) {
    ++count;
    if (passed) return;
    ++failures;
    std::fprintf(stderr, "%s:%d: failed: %s\n", file, line, condition);
}

inline void record_close(double actual, double expected, double tolerance, const char* condition,
                         const char* file, int line) {
    const bool passed = std::abs(actual - expected) <= tolerance;
    record(passed, condition, file, line);
    if (!passed)
        std::fprintf(stderr, "    %.17g, expected %.17g within %.3g\n", actual, expected,
                     tolerance);
}

/// To be returned from main.
inline int report() {
    std::printf("%d checks, %d failures\n", count, failures);
    return failures == 0 ? 0 : 1;
}

}  // namespace gprat::check

#define CHECK(condition) ::gprat::check::record((condition), #condition, __FILE__, __LINE__)
#define CHECK_CLOSE(actual, expected, tolerance)                                             \
    ::gprat::check::record_close((actual), (expected), (tolerance), #actual " ~ " #expected, \
                                 __FILE__, __LINE__)
