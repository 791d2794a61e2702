#include "gprat/linalg/cholesky.hpp"

#include <algorithm>
#include <cmath>

#include "gprat/error.hpp"
#include "gprat/linalg/access_list.hpp"
#include "gprat/linalg/blas.hpp"
#include "gprat/linalg/work.hpp"

namespace gprat {

namespace {

template <class T>
void factor_diagonal_tile(MatrixView<T> tile, index_t first_row) {
    const index_t failed = blas::potrf(tile);
    if (failed >= 0)
        throw NotPositiveDefinite(first_row + failed, std::isfinite(tile(failed, failed)));
}

/// Adds the tasks that turn block (i, j) of A into that of the factor, from those to its left and
/// row j of L.
template <class T, class Rows>
void add_below_diagonal(tasks::TaskGraph& graph, const Rows& a, index_t i, const CutOperand<T>& l,
                        index_t j) {
    for_each_update(l.layout(), 0, j, [&](TileRange k) {
        graph.add(
            {"gemm", i, j, work::gemm(a.block(i, j), a.row(i, k).cols)}, CholeskyRanks::update(j),
            AccessList().row(a, i, k).row(l, j, k), AccessList().add(a.handle(i, j)),
            [left = a.row(i, k), right = l.row(j, k), tile = a.block(i, j)] {
                blas::gemm(blas::Op::none, blas::Op::transpose, T(-1), left, right, T(1), tile);
            });
    });
    graph.add({"trsm", i, j, work::triangle(l.block(j, j).rows, a.block(i, j))},
              CholeskyRanks::panel(j), {l.handle(j, j)}, {a.handle(i, j)},
              [diagonal = l.block(j, j), tile = a.block(i, j)] {
                  blas::trsm(blas::Side::right, blas::Op::transpose, T(1), diagonal, tile);
              });
}

}  // namespace

// Each tile receives its updates in groups of panels, left to right: a fixed order, so the same
// bits for any number of threads, and an inner dimension that is long.
template <class T>
void add_cholesky(tasks::TaskGraph& graph, const CutOperand<T>& a) {
    const index_t first = a.blocks_before_cut();
    for (index_t j = 0; j < a.blocks(); ++j) {
        if (j >= first) {
            for_each_update(a.layout(), 0, j, [&](TileRange k) {
                graph.add({"syrk", j, j, work::syrk(a.block(j, j), a.row(j, k).cols)},
                          CholeskyRanks::update(j), AccessList().row(a, j, k),
                          AccessList().add(a.handle(j, j)),
                          [panels = a.row(j, k), tile = a.block(j, j)] {
                              blas::syrk(blas::Op::none, T(-1), panels, T(1), tile);
                          });
            });
            graph.add({"potrf", j, j, work::in_place(a.block(j, j).rows)}, CholeskyRanks::factor(j),
                      {}, {a.handle(j, j)}, [tile = a.block(j, j), row = a.begin(j)] {
                          factor_diagonal_tile(tile, row);
                      });
        }
        for (index_t i = std::max(j + 1, first); i < a.blocks(); ++i)
            add_below_diagonal<T>(graph, a, i, a, j);
    }
}

template <class T>
void add_solve_lower_from_right(tasks::TaskGraph& graph, const TiledOperand<T>& l,
                                const DenseOperand<T>& b) {
    const CutOperand<T> known(l, 0);
    for (index_t j = 0; j < known.blocks(); ++j)
        for (index_t i = 0; i < b.rows.tiles(); ++i) add_below_diagonal<T>(graph, b, i, known, j);
}

template void add_solve_lower_from_right(tasks::TaskGraph&, const TiledOperand<float>&,
                                         const DenseOperand<float>&);
template void add_solve_lower_from_right(tasks::TaskGraph&, const TiledOperand<double>&,
                                         const DenseOperand<double>&);
template void add_cholesky(tasks::TaskGraph&, const CutOperand<float>&);
template void add_cholesky(tasks::TaskGraph&, const CutOperand<double>&);

}  // namespace gprat
