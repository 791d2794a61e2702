#include "gprat/linalg/cholesky.hpp"

#include <cmath>

#include "gprat/error.hpp"
#include "gprat/linalg/access_list.hpp"
#include "gprat/linalg/blas.hpp"

namespace gprat {

namespace {

template <class T>
void factor_diagonal_tile(MatrixView<T> tile, index_t first_row) {
    const index_t failed = blas::potrf(tile);
    if (failed >= 0)
        throw NotPositiveDefinite(first_row + failed, std::isfinite(tile(failed, failed)));
}

}  // namespace

// Each tile receives its updates in groups of panels, left to right: a fixed order, so the same
// bits for any number of threads, and an inner dimension that is long.
template <class T>
void add_cholesky(tasks::TaskGraph& graph, const TiledOperand<T>& a) {
    const auto& matrix = a.matrix;
    const auto& layout = a.layout();
    const index_t tiles = layout.tiles();
    for (index_t j = 0; j < tiles; ++j) {
        for_each_group(0, j, layout.tiles_per_update(), [&](TileRange k) {
            graph.add({"syrk", j, j}, CholeskyRanks::update(j), AccessList().row(a, j, k),
                      AccessList().add(a.handle(j, j)), [&matrix, j, k] {
                          blas::syrk(blas::Op::none, T(-1), matrix.row(j, k), T(1),
                                     matrix.tile(j, j));
                      });
        });
        graph.add({"potrf", j, j}, CholeskyRanks::factor(j), {}, {a.handle(j, j)}, [&matrix, j] {
            factor_diagonal_tile(matrix.tile(j, j), matrix.layout().begin(j));
        });
        for (index_t i = j + 1; i < tiles; ++i) {
            for_each_group(0, j, layout.tiles_per_update(), [&](TileRange k) {
                graph.add({"gemm", i, j}, CholeskyRanks::update(j),
                          AccessList().row(a, i, k).row(a, j, k), AccessList().add(a.handle(i, j)),
                          [&matrix, i, j, k] {
                              blas::gemm(blas::Op::none, blas::Op::transpose, T(-1),
                                         matrix.row(i, k), matrix.row(j, k), T(1),
                                         matrix.tile(i, j));
                          });
            });
            graph.add({"trsm", i, j}, CholeskyRanks::panel(j), {a.handle(j, j)}, {a.handle(i, j)},
                      [&matrix, i, j] {
                          blas::trsm(blas::Side::right, blas::Op::transpose, T(1),
                                     matrix.tile(j, j), matrix.tile(i, j));
                      });
        }
    }
}

template void add_cholesky(tasks::TaskGraph&, const TiledOperand<float>&);
template void add_cholesky(tasks::TaskGraph&, const TiledOperand<double>&);

}  // namespace gprat
