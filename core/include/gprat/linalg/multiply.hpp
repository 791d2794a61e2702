#pragma once

#include "gprat/linalg/tiled_matrix.hpp"
#include "gprat/tasks/task_graph.hpp"

namespace gprat {

/// Adds the tasks that overwrite B with L·B.
template <class T>
void add_multiply_lower(tasks::TaskGraph& graph, tasks::Rank rank, const TiledOperand<T>& l,
                        const BlockOperand<T>& b);

/// Adds the tasks that overwrite B with Lᵀ·B.
template <class T>
void add_multiply_lower_transposed(tasks::TaskGraph& graph, tasks::Rank rank,
                                   const TiledOperand<T>& l, const BlockOperand<T>& b);

}  // namespace gprat
