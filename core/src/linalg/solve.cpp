#include "gprat/linalg/solve.hpp"

#include "gprat/linalg/access_list.hpp"
#include "gprat/linalg/blas.hpp"
#include "gprat/linalg/work.hpp"

namespace gprat {

namespace {

/// Few vectors are read and written at the speed of memory: their tasks go by names of their own.
struct SolveNames {
    const char* solve;
    const char* solve_transposed;
    const char* update;
};

template <class T>
SolveNames names_for(const BlockOperand<T>& b) {
    if (b.values.cols <= blas::kFewVectors)
        return {"solve_vector", "solve_vector_transposed", "solve_vector_update"};
    return {"solve", "solve_transposed", "solve_update"};
}

/// A few vectors are little work for one task, and much for those that wait for each other: the
/// matrix is read by as many tasks as there are tiles, not by a few.
template <class T>
bool is_cut_finely(const TileLayout& layout, const BlockOperand<T>& b) {
    constexpr index_t kFewVectors = 8;
    return layout.is_fine() && b.values.cols <= kFewVectors;
}

}  // namespace

template <class T>
void add_solve_lower(tasks::TaskGraph& graph, tasks::Rank rank, const TiledOperand<T>& l,
                     const BlockOperand<T>& b, index_t first) {
    const auto& matrix = l.matrix;
    const auto& layout = l.layout();
    const auto names = names_for(b);
    for (index_t i = first; i < layout.tiles(); ++i) {
        const auto add_update = [&](TileRange k) {
            graph.add({names.update, i, k.first, work::gemm(b.row(i), matrix.row(i, k).cols)}, rank,
                      AccessList().row(l, i, k).rows(b, k), AccessList().add(b.handle(i)),
                      [&matrix, b, i, k] {
                          blas::gemm(blas::Op::none, blas::Op::none, T(-1), matrix.row(i, k),
                                     b.rows(k), T(1), b.row(i));
                      });
        };
        if (is_cut_finely(layout, b)) {
            for_each_group(first, i, 1, add_update);
        } else {
            for_each_update(layout, first, i, add_update);
        }
        graph.add({names.solve, i, i, work::triangle(layout.extent(i), b.row(i))}, rank,
                  {l.handle(i, i)}, {b.handle(i)}, [&matrix, b, i] {
                      blas::trsm(blas::Side::left, blas::Op::none, T(1), matrix.tile(i, i),
                                 b.row(i));
                  });
    }
}

// By columns of Lᵀ from the last, since a run of tiles in a row of L is one matrix.
template <class T>
void add_solve_lower_transposed(tasks::TaskGraph& graph, tasks::Rank rank, const TiledOperand<T>& l,
                                const BlockOperand<T>& b) {
    const auto& matrix = l.matrix;
    const auto& layout = l.layout();
    const auto names = names_for(b);
    const index_t group = is_cut_finely(layout, b) ? 1 : layout.tiles_per_strip();
    for (index_t k = layout.tiles() - 1; k >= 0; --k) {
        graph.add({names.solve_transposed, k, k, work::triangle(layout.extent(k), b.row(k))}, rank,
                  {l.handle(k, k)}, {b.handle(k)}, [&matrix, b, k] {
                      blas::trsm(blas::Side::left, blas::Op::transpose, T(1), matrix.tile(k, k),
                                 b.row(k));
                  });
        for_each_group(0, k, group, [&](TileRange i) {
            graph.add({names.update, k, i.first, work::gemm(b.rows(i), layout.extent(k))}, rank,
                      AccessList().row(l, k, i).add(b.handle(k)), AccessList().rows(b, i),
                      [&matrix, b, k, i] {
                          blas::gemm(blas::Op::transpose, blas::Op::none, T(-1), matrix.row(k, i),
                                     b.row(k), T(1), b.rows(i));
                      });
        });
    }
}

template void add_solve_lower(tasks::TaskGraph&, tasks::Rank, const TiledOperand<float>&,
                              const BlockOperand<float>&, index_t);
template void add_solve_lower(tasks::TaskGraph&, tasks::Rank, const TiledOperand<double>&,
                              const BlockOperand<double>&, index_t);
template void add_solve_lower_transposed(tasks::TaskGraph&, tasks::Rank, const TiledOperand<float>&,
                                         const BlockOperand<float>&);
template void add_solve_lower_transposed(tasks::TaskGraph&, tasks::Rank,
                                         const TiledOperand<double>&, const BlockOperand<double>&);

}  // namespace gprat
