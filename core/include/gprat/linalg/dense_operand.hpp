#pragma once

#include "gprat/linalg/tiled_matrix.hpp"

namespace gprat {

/// A dense column-major matrix as a graph's tasks see it: cut into tiles both ways, each with its
/// handle. The columns of tiles are blocks of vectors.
template <class T>
struct DenseOperand {
    DenseOperand(tasks::TaskGraph& graph, MatrixView<T> values_, index_t tile_size)
        : values(values_),
          rows(values_.rows, tile_size),
          columns(values_.cols, tile_size),
          first(graph.new_handles(rows.tiles() * columns.tiles(),
                                  bytes_of<T>(tile_size, tile_size))) {}

    MatrixView<T> block(index_t i, index_t j) const { return row(i, {j, j + 1}); }

    /// Tiles [range.first, range.last) of tile row i, side by side.
    MatrixView<T> row(index_t i, TileRange range) const {
        const index_t begin = columns.begin(range.first);
        return values.block(rows.begin(i), begin, rows.extent(i),
                            columns.begin(range.last) - begin);
    }

    /// Tile column j.
    BlockOperand<T> strip(index_t j) const {
        return {values.block(0, columns.begin(j), values.rows, columns.extent(j)), rows,
                handle(0, j)};
    }

    tasks::Handle handle(index_t i, index_t j) const { return first + j * rows.tiles() + i; }

    MatrixView<T> values;
    TileLayout rows;
    TileLayout columns;
    tasks::Handle first;
};

}  // namespace gprat
