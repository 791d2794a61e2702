#pragma once

#include "gprat/linalg/dense_operand.hpp"
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

/// Adds the tasks that overwrite the lower triangle of A with its Cholesky factor L, A = L·Lᵀ. Rows
/// before the cut already hold theirs: the others are found in the order of n²k for k of them. A
/// task throws NotPositiveDefinite with the row of A at which that fails.
template <class T>
void add_cholesky(tasks::TaskGraph& graph, const CutOperand<T>& a);

/// The same where no row is known.
template <class T>
void add_cholesky(tasks::TaskGraph& graph, const TiledOperand<T>& a) {
    add_cholesky(graph, CutOperand<T>(a, 0));
}

/// Adds the tasks that overwrite B with B·L⁻ᵀ: the factor's rows below L, if B is what is below A.
template <class T>
void add_solve_lower_from_right(tasks::TaskGraph& graph, const TiledOperand<T>& l,
                                const DenseOperand<T>& b);

}  // namespace gprat
