#include "gprat/linalg/update.hpp"

#include <algorithm>

#include "gprat/linalg/access_list.hpp"
#include "gprat/linalg/cholesky.hpp"
#include "gprat/linalg/work.hpp"

namespace gprat {

namespace {

/// Neighbouring rows of one tile row, and where they go.
struct Run {
    index_t tile;
    index_t offset;
    index_t count;
    index_t to;
};

std::vector<Run> runs_of(std::span<const index_t> rows, const TileLayout& layout) {
    std::vector<Run> runs;
    for (std::size_t at = 0; at < rows.size(); ++at) {
        const index_t tile = rows[at] / layout.tile_size();
        const index_t offset = rows[at] - layout.begin(tile);
        if (!runs.empty() && runs.back().tile == tile &&
            runs.back().offset + runs.back().count == offset)
            ++runs.back().count;
        else
            runs.push_back({tile, offset, 1, static_cast<index_t>(at)});
    }
    return runs;
}

/// to(i, j) := L(rows[i], columns[j]), zero above L's diagonal.
template <class T>
void gather(const TiledMatrix<T>& l, std::span<const index_t> rows,
            std::span<const index_t> columns, MatrixView<T> to) {
    for (const auto& run : runs_of(rows, l.layout())) {
        const auto source = l.row(run.tile, {0, run.tile + 1});
        const index_t first_row = l.layout().begin(run.tile) + run.offset;
        for (index_t j = 0; j < to.cols; ++j) {
            const index_t above = std::clamp<index_t>(columns[j] - first_row, 0, run.count);
            T* const target = to.column(j) + run.to;
            std::fill_n(target, above, T(0));
            if (above < run.count)
                std::copy_n(source.column(columns[j]) + run.offset + above, run.count - above,
                            target + above);
        }
    }
}

/// The part of `rows` that goes to a tile row.
std::span<const index_t> rows_of_tile(std::span<const index_t> rows, const TileLayout& layout,
                                      index_t tile) {
    const auto count = static_cast<index_t>(rows.size());
    const index_t begin = std::min(layout.begin(tile), count);
    return rows.subspan(begin, std::min(layout.end(tile), count) - begin);
}

template <class T>
void copy_tile(const TiledMatrix<T>& from, std::span<const index_t> rows,
               std::span<const index_t> columns, MatrixView<T> tile) {
    const index_t height = std::ssize(rows), width = std::ssize(columns);
    gather(from, rows, columns, tile.block(0, 0, height, width));
    // Rows that are yet to come have their columns above the diagonal of those that are here.
    for (index_t j = width; j < tile.cols; ++j) std::fill_n(tile.column(j), height, T(0));
}

/// Reflectors that share a triangular factor. Wide enough for matrix products, and no wider than
/// pays: the triangular factors cost as much as so many deleted rows.
index_t reflectors_per_group(index_t deleted, const TileLayout& layout) {
    return std::min(std::clamp<index_t>(deleted, 8, 64), layout.tile_size());
}

}  // namespace

template <class T>
void add_copy_rows(tasks::TaskGraph& graph, const TiledMatrix<T>& from,
                   std::span<const index_t> rows, const TiledOperand<T>& to) {
    const auto& layout = to.layout();
    for (index_t j = 0; j < layout.tiles(); ++j)
        for (index_t i = j; layout.begin(i) < std::ssize(rows); ++i)
            graph.add({"copy_rows", i, j}, CholeskyRanks::feed(j), {}, {to.handle(i, j)},
                      [&from, tile = to.matrix.tile(i, j), of_rows = rows_of_tile(rows, layout, i),
                       of_columns = rows_of_tile(rows, layout, j)] {
                          copy_tile(from, of_rows, of_columns, tile);
                      });
}

template <class T>
RowDeletion<T>::RowDeletion(std::span<const index_t> rows, const TileLayout& layout)
    : layout_(layout), deleted_(rows.begin(), rows.end()) {
    kept_.reserve(layout.size());
    auto next = rows.begin();
    for (index_t row = 0; row < layout.size() + std::ssize(rows); ++row) {
        if (next != rows.end() && *next == row)
            ++next;
        else
            kept_.push_back(row);
    }
}

template <class T>
index_t RowDeletion<T>::active(index_t tile) const {
    const index_t last_row = kept_[layout_.end(tile) - 1];
    return std::lower_bound(deleted_.begin(), deleted_.end(), last_row) - deleted_.begin();
}

template <class T>
double RowDeletion<T>::flops() const {
    double flops = 0.0;
    for (index_t j = 0; j < layout_.tiles(); ++j)
        flops += 4.0 * static_cast<double>(layout_.extent(j)) *
                 static_cast<double>(layout_.size() - layout_.begin(j)) *
                 static_cast<double>(active(j));
    return flops;
}

template <class T>
void RowDeletion<T>::allocate() {
    blas::initialise();
    const index_t n = layout_.size(), k = active(layout_.tiles() - 1);
    columns_ = Buffer<T>(n * k);
    factors_ = Buffer<T>(n * reflectors_per_group(k, layout_));
    signs_ = Buffer<T>(n);
}

template <class T>
blas::Reflectors<T> RowDeletion<T>::reflectors(index_t tile) const {
    const index_t begin = layout_.begin(tile), rows = layout_.extent(tile);
    const index_t group = factors_.size() / layout_.size();
    return {columns().block(begin, 0, rows, active(tile)),
            {factors_.data() + begin * group, std::min(group, rows), rows},
            signs_.data() + begin};
}

template <class T>
void add_delete_rows(tasks::TaskGraph& graph, const TiledMatrix<T>& from,
                     const RowDeletion<T>& deletion, const TiledOperand<T>& to) {
    const auto& layout = to.layout();
    const BlockOperand<T> b(graph, deletion.columns(), layout);
    add_copy_rows(graph, from, deletion.kept(), to);
    for (index_t i = 0; i < layout.tiles(); ++i)
        graph.add({"copy_columns", i, 0}, CholeskyRanks::feed(0), {}, {b.handle(i)},
                  [&from, b, i, &deletion] {
                      gather(from, rows_of_tile(deletion.kept(), b.layout, i),
                             deletion.deleted().first(b.values.cols), b.row(i));
                  });
    for (index_t j = 0; j < layout.tiles(); ++j) {
        const auto reflectors = deletion.reflectors(j);
        if (reflectors.vectors.cols == 0) continue;
        graph.add({"lq", j, j, 2.0 * work::triangle(layout.extent(j), reflectors.vectors)},
                  CholeskyRanks::factor(j), {}, {to.handle(j, j), b.handle(j)},
                  [tile = to.matrix.tile(j, j), reflectors] { blas::lq(tile, reflectors); });
        for (index_t i = j + 1; i < layout.tiles(); ++i)
            graph.add(
                {"reflect", i, j, 2.0 * work::gemm(to.matrix.tile(i, j), reflectors.vectors.cols)},
                CholeskyRanks::update(j), {b.handle(j)}, {to.handle(i, j), b.handle(i)},
                [tile = to.matrix.tile(i, j), reflectors,
                 rest = b.row(i).block(0, 0, layout.extent(i), reflectors.vectors.cols)] {
                    blas::reflect(reflectors, tile, rest);
                });
    }
}

#define GPRAT_INSTANTIATE(T)                                                                       \
    template void add_copy_rows(tasks::TaskGraph&, const TiledMatrix<T>&,                          \
                                std::span<const index_t>, const TiledOperand<T>&);                 \
    template class RowDeletion<T>;                                                                 \
    template void add_delete_rows(tasks::TaskGraph&, const TiledMatrix<T>&, const RowDeletion<T>&, \
                                  const TiledOperand<T>&);
GPRAT_INSTANTIATE(float)
GPRAT_INSTANTIATE(double)
#undef GPRAT_INSTANTIATE

}  // namespace gprat
