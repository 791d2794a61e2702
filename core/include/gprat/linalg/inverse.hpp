#pragma once

#include "gprat/linalg/tiled_matrix.hpp"
#include "gprat/tasks/task_graph.hpp"

namespace gprat {

/// Ranks of the tasks of `add_inverse`, which follow each other from `first` to `end`.
struct InverseRanks {
    static tasks::Rank triangular(tasks::Rank first, index_t step) { return first + 2 * step; }
    static tasks::Rank product(tasks::Rank first, const TileLayout& layout, index_t step) {
        return first + 2 * layout.tiles() + step;
    }
    static tasks::Rank end(tasks::Rank first, const TileLayout& layout) {
        return first + 3 * layout.tiles();
    }
};

/// Adds the tasks that overwrite the factor L with L⁻¹, in place.
template <class T>
void add_triangular_inverse(tasks::TaskGraph& graph, tasks::Rank first, const TiledOperand<T>& l);

/// Adds the tasks that overwrite the factor L with the lower triangle of (L·Lᵀ)⁻¹, in place:
/// first X = L⁻¹, then Xᵀ·X.
template <class T>
void add_inverse(tasks::TaskGraph& graph, tasks::Rank first, const TiledOperand<T>& l);

}  // namespace gprat
