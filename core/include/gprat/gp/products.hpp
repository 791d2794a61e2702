#pragma once

#include "gprat/gp/problem.hpp"
#include "gprat/linalg/buffer.hpp"
#include "gprat/tasks/task_graph.hpp"

namespace gprat::gp {

/// What the covariance matrix says of vectors without its factor: the yardstick for what was
/// computed with it.
struct Products {
    Buffer<double> values;      ///< K·B, n × r
    Buffer<double> magnitudes;  ///< |K|·|B|, n × r
    Buffer<double> diagonal;    ///< of K
};

/// Evaluates K = k(X, X) + noise block by block and drops each when it has met the columns of B
/// (n × r). Sums are taken in double, in parts of a few dozen terms: their rounding is some units,
/// whatever n is. n² pairs, which symmetry would halve at the price of waiting for each other.
template <class T>
Products multiply_covariance(const Problem<T>& problem, MatrixView<const T> b,
                             const tasks::RunOptions& options);

}  // namespace gprat::gp
