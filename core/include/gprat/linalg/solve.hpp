#pragma once

#include "gprat/linalg/tiled_matrix.hpp"
#include "gprat/tasks/task_graph.hpp"

namespace gprat {

/// Adds the tasks that overwrite B with L⁻¹·B (forward substitution). Tile rows of B before
/// `first` are taken for zero and left alone.
template <class T>
void add_solve_lower(tasks::TaskGraph& graph, tasks::Rank rank, const TiledOperand<T>& l,
                     const BlockOperand<T>& b, index_t first = 0);

/// Adds the tasks that overwrite B with L⁻ᵀ·B (backward substitution).
template <class T>
void add_solve_lower_transposed(tasks::TaskGraph& graph, tasks::Rank rank, const TiledOperand<T>& l,
                                const BlockOperand<T>& b);

}  // namespace gprat
