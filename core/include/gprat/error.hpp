#pragma once

#include <stdexcept>
#include <string>

#include "gprat/types.hpp"

namespace gprat {

/// The matrix has no Cholesky factor: the leading minor that ends at row `pivot` (from 0) is not
/// positive, or not finite when `is_finite` is false.
class NotPositiveDefinite : public std::runtime_error {
public:
    NotPositiveDefinite(index_t pivot_, bool is_finite_)
        : std::runtime_error("matrix is not positive definite at row " + std::to_string(pivot_)),
          pivot(pivot_),
          is_finite(is_finite_) {}

    index_t pivot;
    bool is_finite;
};

/// The columns of a matrix depend on each other: `column` (from 0) on those before it.
class RankDeficient : public std::runtime_error {
public:
    explicit RankDeficient(index_t column_)
        : std::runtime_error("column " + std::to_string(column_) + " depends on those before it"),
          column(column_) {}

    index_t column;
};

/// The system gives this process fewer threads than there are to be workers.
class TooFewThreads : public std::runtime_error {
public:
    TooFewThreads(int wanted_, int given_)
        : std::runtime_error("the system gives " + std::to_string(given_) + " of " +
                             std::to_string(wanted_) + " threads"),
          wanted(wanted_),
          given(given_) {}

    int wanted;
    int given;
};

/// The work was cancelled from outside before it was complete.
class Cancelled : public std::runtime_error {
public:
    Cancelled() : std::runtime_error("the operation was cancelled") {}
};

class InvalidArgument : public std::invalid_argument {
public:
    using std::invalid_argument::invalid_argument;
};

}  // namespace gprat
