#pragma once

#include "gprat/linalg/tiled_matrix.hpp"
#include "gprat/tasks/task_graph.hpp"

namespace gprat {

/// Ranks of a factorisation: column by column, and within a column the panel before the updates.
/// Work that feeds column j takes `feed(j)`; what comes after the factorisation starts at `end`.
struct CholeskyRanks {
    static tasks::Rank factor(index_t column) { return 4 * column; }
    static tasks::Rank panel(index_t column) { return 4 * column + 1; }
    static tasks::Rank update(index_t column) { return 4 * column + 2; }
    static tasks::Rank feed(index_t column) { return 4 * column + 3; }
    static tasks::Rank end(const TileLayout& layout) { return 4 * layout.tiles(); }
};

/// Adds the tasks that overwrite the lower triangle of A with its Cholesky factor L, A = L·Lᵀ.
/// A task throws NotPositiveDefinite with the row of A at which that fails.
template <class T>
void add_cholesky(tasks::TaskGraph& graph, const TiledOperand<T>& a);

}  // namespace gprat
