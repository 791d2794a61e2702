#pragma once

#include <utility>

#include "gprat/linalg/buffer.hpp"
#include "gprat/linalg/tile_layout.hpp"
#include "gprat/tasks/task_graph.hpp"
#include "gprat/types.hpp"

namespace gprat {

/// The lower triangle of a square matrix, as tiles, in one allocation.
///
/// The tiles of one tile row follow each other, each column-major with the row's height as leading
/// dimension, so any run of them is one ordinary matrix: updates with several tiles as inner
/// dimension are one GEMM, without a copy. What lies above the diagonal in the tiles on it is zero
/// in a factor that is handed out, and of no interest otherwise.
template <class T>
class TiledMatrix {
public:
    TiledMatrix() : layout_(0, 1) {}
    explicit TiledMatrix(const TileLayout& layout) : layout_(layout), storage_(size_of(layout)) {}

    /// Takes over tiles that lie as `storage()` of such a matrix has them.
    TiledMatrix(const TileLayout& layout, Buffer<T> storage)
        : layout_(layout), storage_(std::move(storage)) {
        if (storage_.size() != size_of(layout))
            throw InvalidArgument("the storage has not the size of the tiles");
    }

    const TileLayout& layout() const { return layout_; }

    /// Entries of all tiles.
    static index_t size_of(const TileLayout& layout) { return row_offset(layout, layout.tiles()); }

    /// All tiles, row by row.
    const Buffer<T>& storage() const { return storage_; }

    MatrixView<T> tile(index_t i, index_t j) const { return row(i, {j, j + 1}); }

    /// Tiles [columns.first, columns.last) of tile row i, side by side.
    MatrixView<T> row(index_t i, TileRange columns) const {
        const index_t height = layout_.extent(i);
        const index_t first = layout_.begin(columns.first);
        const index_t width = layout_.begin(columns.last) - first;
        return {storage_.data() + row_offset(layout_, i) + first * height, height, width};
    }

private:
    // Rows before i hold tile_size × (tile_size + 2·tile_size + … + i·tile_size) entries, except
    // that the last row, which may be lower, has nothing behind it.
    static index_t row_offset(const TileLayout& layout, index_t i) {
        const index_t full_rows = layout.size() / layout.tile_size();
        const index_t b = layout.tile_size();
        if (i <= full_rows) return b * b * (i * (i + 1) / 2);
        return row_offset(layout, full_rows) + layout.extent(full_rows) * layout.size();
    }

    TileLayout layout_;
    Buffer<T> storage_;
};

/// Bytes that a full tile has.
template <class T>
double bytes_of(index_t rows, index_t columns) {
    return static_cast<double>(rows) * static_cast<double>(columns) * sizeof(T);
}

/// A tiled matrix as a graph's tasks see it: each tile with its handle.
template <class T>
struct TiledOperand {
    TiledOperand(tasks::TaskGraph& graph, const TiledMatrix<T>& matrix_)
        : matrix(matrix_),
          first(graph.new_handles(layout().tiles() * (layout().tiles() + 1) / 2,
                                  bytes_of<T>(layout().tile_size(), layout().tile_size()))) {}

    const TileLayout& layout() const { return matrix.layout(); }
    tasks::Handle handle(index_t i, index_t j) const { return first + i * (i + 1) / 2 + j; }

    const TiledMatrix<T>& matrix;
    tasks::Handle first;
};

/// A tiled operand with one more cut, before row and column `cut`: the tile row and the tile column
/// that it goes through count as two blocks each. Blocks have the handle of the tile they are of.
template <class T>
class CutOperand {
public:
    CutOperand(const TiledOperand<T>& tiles, index_t cut)
        : tiles_(tiles),
          cut_(cut),
          cut_tile_(cut / layout().tile_size()),
          is_between_tiles_(cut == layout().begin(cut_tile_)) {}

    const TileLayout& layout() const { return tiles_.layout(); }

    index_t blocks() const { return layout().tiles() + (is_between_tiles_ ? 0 : 1); }
    /// Blocks of rows before the cut.
    index_t blocks_before_cut() const { return cut_tile_ + (is_between_tiles_ ? 0 : 1); }

    index_t begin(index_t block) const {
        return block == blocks_before_cut() ? cut_ : layout().begin(tile_of(block));
    }
    index_t extent(index_t block) const { return begin(block + 1) - begin(block); }

    /// Blocks [columns.first, columns.last) of block row i, side by side.
    MatrixView<T> row(index_t i, TileRange columns) const {
        const index_t tile = tile_of(i), first = begin(columns.first);
        return tiles_.matrix.row(tile, {0, tile + 1})
            .block(begin(i) - layout().begin(tile), first, extent(i), begin(columns.last) - first);
    }
    MatrixView<T> block(index_t i, index_t j) const { return row(i, {j, j + 1}); }

    tasks::Handle handle(index_t i, index_t j) const {
        return tiles_.handle(tile_of(i), tile_of(j));
    }

private:
    index_t tile_of(index_t block) const {
        return block - (block > cut_tile_ ? blocks() - layout().tiles() : 0);
    }

    TiledOperand<T> tiles_;
    index_t cut_;
    index_t cut_tile_;
    bool is_between_tiles_;
};

/// A dense column-major block of vectors, cut into tile rows, each with its handle.
template <class T>
struct BlockOperand {
    BlockOperand(tasks::TaskGraph& graph, MatrixView<T> values_, const TileLayout& layout_)
        : BlockOperand(
              values_, layout_,
              graph.new_handles(layout_.tiles(), bytes_of<T>(layout_.tile_size(), values_.cols))) {}

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
