#include "gprat/linalg/inverse.hpp"

#include "gprat/linalg/access_list.hpp"
#include "gprat/linalg/blas.hpp"
#include "gprat/linalg/work.hpp"

namespace gprat {

namespace {

// Row k of X adds X_kiᵀ·X_k,0:i to every row i above it, then turns into its own share.
template <class T>
void add_gram_matrix(tasks::TaskGraph& graph, tasks::Rank first, const TiledOperand<T>& a) {
    const auto& matrix = a.matrix;
    const auto& layout = a.layout();
    const index_t group = layout.tiles_per_strip();
    for (index_t k = 0; k < layout.tiles(); ++k) {
        const auto rank = InverseRanks::product(first, layout, k);
        for (index_t i = 0; i < k; ++i) {
            for_each_group(0, i, group, [&](TileRange j) {
                graph.add({"gram_gemm", i, j.first, work::gemm(matrix.row(i, j), layout.extent(k))},
                          rank, AccessList().row(a, k, j).add(a.handle(k, i)),
                          AccessList().row(a, i, j), [&matrix, i, j, k] {
                              blas::gemm(blas::Op::transpose, blas::Op::none, T(1),
                                         matrix.tile(k, i), matrix.row(k, j), T(1),
                                         matrix.row(i, j));
                          });
            });
            graph.add({"gram_syrk", i, i, work::syrk(matrix.tile(i, i), layout.extent(k))}, rank,
                      {a.handle(k, i)}, {a.handle(i, i)}, [&matrix, i, k] {
                          blas::syrk(blas::Op::transpose, T(1), matrix.tile(k, i), T(1),
                                     matrix.tile(i, i));
                      });
        }
        for_each_group(0, k, group, [&](TileRange j) {
            graph.add({"gram_trmm", k, j.first, work::triangle(layout.extent(k), matrix.row(k, j))},
                      rank, AccessList().add(a.handle(k, k)), AccessList().row(a, k, j),
                      [&matrix, k, j] {
                          blas::trmm(blas::Side::left, blas::Op::transpose, matrix.tile(k, k),
                                     matrix.row(k, j));
                      });
        });
        graph.add({"lauum", k, k, work::in_place(layout.extent(k))}, rank, {}, {a.handle(k, k)},
                  [&matrix, k] { blas::lauum(matrix.tile(k, k)); });
    }
}

}  // namespace

// Row k of X is −L_kk⁻¹ times what the rows above have left in it; then every row below takes its
// share of row k: X_i,0:k += L_ik·X_k,0:k, and L_ik·X_kk stands where L_ik stood.
template <class T>
void add_triangular_inverse(tasks::TaskGraph& graph, tasks::Rank first, const TiledOperand<T>& a) {
    const auto& matrix = a.matrix;
    const auto& layout = a.layout();
    const index_t group = layout.tiles_per_strip();
    for (index_t k = 0; k < layout.tiles(); ++k) {
        const auto urgent = InverseRanks::triangular(first, k);
        for_each_group(0, k, group, [&](TileRange j) {
            graph.add(
                {"inverse_trsm", k, j.first, work::triangle(layout.extent(k), matrix.row(k, j))},
                urgent, AccessList().add(a.handle(k, k)), AccessList().row(a, k, j),
                [&matrix, k, j] {
                    blas::trsm(blas::Side::left, blas::Op::none, T(-1), matrix.tile(k, k),
                               matrix.row(k, j));
                });
        });
        graph.add({"trtri", k, k, work::in_place(layout.extent(k))}, urgent, {}, {a.handle(k, k)},
                  [&matrix, k] { blas::trtri(matrix.tile(k, k)); });
        for (index_t i = k + 1; i < layout.tiles(); ++i) {
            for_each_group(0, k, group, [&](TileRange j) {
                graph.add(
                    {"inverse_gemm", i, j.first, work::gemm(matrix.row(i, j), layout.extent(k))},
                    urgent + 1, AccessList().row(a, k, j).add(a.handle(i, k)),
                    AccessList().row(a, i, j), [&matrix, i, j, k] {
                        blas::gemm(blas::Op::none, blas::Op::none, T(1), matrix.tile(i, k),
                                   matrix.row(k, j), T(1), matrix.row(i, j));
                    });
            });
            graph.add({"inverse_trmm", i, k, work::triangle(layout.extent(k), matrix.tile(i, k))},
                      urgent + 1, {a.handle(k, k)}, {a.handle(i, k)}, [&matrix, i, k] {
                          blas::trmm(blas::Side::right, blas::Op::none, matrix.tile(k, k),
                                     matrix.tile(i, k));
                      });
        }
    }
}

template <class T>
void add_inverse(tasks::TaskGraph& graph, tasks::Rank first, const TiledOperand<T>& l) {
    add_triangular_inverse(graph, first, l);
    add_gram_matrix(graph, first, l);
}

template void add_triangular_inverse(tasks::TaskGraph&, tasks::Rank, const TiledOperand<float>&);
template void add_triangular_inverse(tasks::TaskGraph&, tasks::Rank, const TiledOperand<double>&);
template void add_inverse(tasks::TaskGraph&, tasks::Rank, const TiledOperand<float>&);
template void add_inverse(tasks::TaskGraph&, tasks::Rank, const TiledOperand<double>&);

}  // namespace gprat
