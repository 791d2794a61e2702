#pragma once

#include "gprat/linalg/buffer.hpp"
#include "gprat/linalg/tile_layout.hpp"
#include "gprat/tasks/task_graph.hpp"
#include "gprat/types.hpp"

namespace gprat {

/// The lower triangle of a square matrix, as tiles, in one allocation.
///
/// The tiles of one tile row follow each other, each column-major with the row's height as leading
/// dimension, so any run of them is one ordinary matrix: updates with several tiles as inner
/// dimension are one GEMM, without a copy.
template <class T>
class TiledMatrix {
public:
    TiledMatrix() : layout_(0, 1) {}
    explicit TiledMatrix(const TileLayout& layout)
        : layout_(layout), storage_(row_offset(layout.tiles())) {}

    const TileLayout& layout() const { return layout_; }

    MatrixView<T> tile(index_t i, index_t j) const { return row(i, {j, j + 1}); }

    /// Tiles [columns.first, columns.last) of tile row i, side by side.
    MatrixView<T> row(index_t i, TileRange columns) const {
        const index_t height = layout_.extent(i);
        const index_t first = layout_.begin(columns.first);
        const index_t width = layout_.begin(columns.last) - first;
        return {storage_.data() + row_offset(i) + first * height, height, width};
    }

    index_t size_in_bytes() const { return storage_.size() * static_cast<index_t>(sizeof(T)); }

private:
    // Rows before i hold tile_size × (tile_size + 2·tile_size + … + i·tile_size) entries, except
    // that the last row, which may be lower, has nothing behind it.
    index_t row_offset(index_t i) const {
        const index_t full_rows = layout_.size() / layout_.tile_size();
        const index_t b = layout_.tile_size();
        if (i <= full_rows) return b * b * (i * (i + 1) / 2);
        return row_offset(full_rows) + layout_.extent(full_rows) * layout_.size();
    }

    TileLayout layout_;
    Buffer<T> storage_;
};

/// A tiled matrix as a graph's tasks see it: each tile with its handle.
template <class T>
struct TiledOperand {
    TiledOperand(tasks::TaskGraph& graph, const TiledMatrix<T>& matrix_)
        : matrix(matrix_),
          first(graph.new_handles(layout().tiles() * (layout().tiles() + 1) / 2)) {}

    const TileLayout& layout() const { return matrix.layout(); }
    tasks::Handle handle(index_t i, index_t j) const { return first + i * (i + 1) / 2 + j; }

    const TiledMatrix<T>& matrix;
    tasks::Handle first;
};

/// A dense column-major block of vectors, cut into tile rows, each with its handle.
template <class T>
struct BlockOperand {
    BlockOperand(tasks::TaskGraph& graph, MatrixView<T> values_, const TileLayout& layout_)
        : BlockOperand(values_, layout_, graph.new_handles(layout_.tiles())) {}

    /// Shares handles with an earlier block whose memory it takes over.
    BlockOperand(MatrixView<T> values_, const TileLayout& layout_, tasks::Handle first_)
        : values(values_), layout(layout_), first(first_) {}

    MatrixView<T> rows(TileRange range) const {
        const index_t begin = layout.begin(range.first);
        return values.block(begin, 0, layout.begin(range.last) - begin, values.cols);
    }
    MatrixView<T> row(index_t i) const { return rows({i, i + 1}); }
    tasks::Handle handle(index_t i) const { return first + i; }

    MatrixView<T> values;
    TileLayout layout;
    tasks::Handle first;
};

}  // namespace gprat
