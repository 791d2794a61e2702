#pragma once

#include <span>

#include "gprat/gp/problem.hpp"
#include "gprat/linalg/tiled_matrix.hpp"
#include "gprat/tasks/task_graph.hpp"

namespace gprat::gp {

/// The factor of `problem`, whose first rows are those of which `factor` is the factor, with the
/// same kernel and noise: n²k operations for k new rows. Throws NotPositiveDefinite as a
/// factorisation does.
template <class T>
TiledMatrix<T> append_rows(const TiledMatrix<T>& factor, const Problem<T>& problem,
                           const tasks::RunOptions& options);

/// The factor of `problem`, whose rows are those of `factor` without `rows` (ascending): n²k
/// operations for k of them, or what a new factorisation from the first of them on needs, if less.
template <class T>
TiledMatrix<T> delete_rows(const TiledMatrix<T>& factor, std::span<const index_t> rows,
                           const Problem<T>& problem, const tasks::RunOptions& options);

/// Throws NotPositiveDefinite with the first row whose diagonal entry is not positive and finite,
/// as that of no factor is.
template <class T>
void check_factor(const TiledMatrix<T>& factor);

}  // namespace gprat::gp
