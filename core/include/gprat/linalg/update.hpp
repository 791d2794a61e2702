#pragma once

#include <span>
#include <vector>

#include "gprat/linalg/blas.hpp"
#include "gprat/linalg/tiled_matrix.hpp"
#include "gprat/tasks/task_graph.hpp"

namespace gprat {

/// Adds the tasks that copy rows and columns `rows` (ascending) of a factor to the first ones of
/// `to`, whose tiles may be of another size. Above the diagonal come zeros.
template <class T>
void add_copy_rows(tasks::TaskGraph& graph, const TiledMatrix<T>& from,
                   std::span<const index_t> rows, const TiledOperand<T>& to);

/// Rows that leave a factor L, L·Lᵀ = K, and what takes them out of it.
///
/// The rows that stay are [A B], B being the columns of those that leave, and A is triangular: the
/// new factor L' has L'·L'ᵀ = A·Aᵀ + B·Bᵀ. Reflectors from the right turn [A B] into [L' 0], a
/// tile's columns at a time (Golub and Van Loan, Matrix Computations, section 6.5.4).
template <class T>
class RowDeletion {
public:
    /// `rows` are ascending and not all; `layout` is that of what stays.
    RowDeletion(std::span<const index_t> rows, const TileLayout& layout);

    const TileLayout& layout() const { return layout_; }
    std::span<const index_t> deleted() const { return deleted_; }
    std::span<const index_t> kept() const { return kept_; }

    /// Floating-point operations on the tiles.
    double flops() const;

    /// Takes the memory that the tasks work in: n × deleted rows.
    void allocate();

    MatrixView<T> columns() const {
        return {columns_.data(), layout_.size(), active(layout_.tiles() - 1)};
    }

    /// Deleted columns that have entries in the rows of a tile or above: the first ones.
    index_t active(index_t tile) const;

    /// The reflectors that make the columns of B zero in the rows of a tile.
    blas::Reflectors<T> reflectors(index_t tile) const;

private:
    TileLayout layout_;
    std::vector<index_t> deleted_;
    std::vector<index_t> kept_;
    Buffer<T> columns_;  ///< B, then the vectors of the reflectors
    Buffer<T> factors_;
    Buffer<T> signs_;
};

/// Adds the tasks that write the factor without the deleted rows to `to`, in the order of n²k for k
/// of them. `deletion` has its memory, and lives until the graph has run.
template <class T>
void add_delete_rows(tasks::TaskGraph& graph, const TiledMatrix<T>& from,
                     const RowDeletion<T>& deletion, const TiledOperand<T>& to);

}  // namespace gprat
