#include "gprat/linalg/multiply.hpp"

#include "gprat/linalg/access_list.hpp"
#include "gprat/linalg/blas.hpp"
#include "gprat/linalg/work.hpp"

namespace gprat {

// From the last row up, so that each row finds those above it unchanged.
template <class T>
void add_multiply_lower(tasks::TaskGraph& graph, tasks::Rank rank, const TiledOperand<T>& l,
                        const BlockOperand<T>& b) {
    const auto& matrix = l.matrix;
    const auto& layout = l.layout();
    for (index_t i = layout.tiles() - 1; i >= 0; --i) {
        graph.add({"multiply", i, i, work::triangle(layout.extent(i), b.row(i))}, rank,
                  {l.handle(i, i)}, {b.handle(i)}, [&matrix, b, i] {
                      blas::trmm(blas::Side::left, blas::Op::none, matrix.tile(i, i), b.row(i));
                  });
        for_each_group(0, i, layout.tiles_per_update(), [&](TileRange k) {
            graph.add({"multiply_update", i, k.first, work::gemm(b.row(i), matrix.row(i, k).cols)},
                      rank, AccessList().row(l, i, k).rows(b, k), AccessList().add(b.handle(i)),
                      [&matrix, b, i, k] {
                          blas::gemm(blas::Op::none, blas::Op::none, T(1), matrix.row(i, k),
                                     b.rows(k), T(1), b.row(i));
                      });
        });
    }
}

// Row i gives its share to the rows above it before it changes: by rows of L, since a run of tiles
// in a row is one matrix.
template <class T>
void add_multiply_lower_transposed(tasks::TaskGraph& graph, tasks::Rank rank,
                                   const TiledOperand<T>& l, const BlockOperand<T>& b) {
    const auto& matrix = l.matrix;
    const auto& layout = l.layout();
    for (index_t i = 0; i < layout.tiles(); ++i) {
        for_each_group(0, i, layout.tiles_per_update(), [&](TileRange k) {
            graph.add({"multiply_update", i, k.first, work::gemm(b.rows(k), layout.extent(i))},
                      rank, AccessList().row(l, i, k).add(b.handle(i)), AccessList().rows(b, k),
                      [&matrix, b, i, k] {
                          blas::gemm(blas::Op::transpose, blas::Op::none, T(1), matrix.row(i, k),
                                     b.row(i), T(1), b.rows(k));
                      });
        });
        graph.add({"multiply_transposed", i, i, work::triangle(layout.extent(i), b.row(i))}, rank,
                  {l.handle(i, i)}, {b.handle(i)}, [&matrix, b, i] {
                      blas::trmm(blas::Side::left, blas::Op::transpose, matrix.tile(i, i),
                                 b.row(i));
                  });
    }
}

#define GPRAT_INSTANTIATE(T)                                                                 \
    template void add_multiply_lower(tasks::TaskGraph&, tasks::Rank, const TiledOperand<T>&, \
                                     const BlockOperand<T>&);                                \
    template void add_multiply_lower_transposed(tasks::TaskGraph&, tasks::Rank,              \
                                                const TiledOperand<T>&, const BlockOperand<T>&);
GPRAT_INSTANTIATE(float)
GPRAT_INSTANTIATE(double)
#undef GPRAT_INSTANTIATE

}  // namespace gprat
