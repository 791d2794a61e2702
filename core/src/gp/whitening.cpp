#include "gprat/gp/whitening.hpp"

#include <algorithm>

#include "gprat/gp/trend.hpp"
#include "gprat/linalg/blas.hpp"
#include "gprat/linalg/solve.hpp"
#include "gprat/linalg/work.hpp"

namespace gprat::gp {

using blas::Op;
using covariance::Pairing;
using covariance::Region;

template <class T>
void add_products(MatrixView<const T> a, MatrixView<const T> b, T* mean) {
    if (b.cols == 1) {
        blas::gemm(Op::transpose, Op::none, T(1), a, b, T(1), MatrixView<T>(mean, a.cols, 1));
    } else {
        blas::gemm(Op::transpose, Op::none, T(1), b, a, T(1), MatrixView<T>(mean, b.cols, a.cols));
    }
}

template <class T>
void add_whitening(tasks::TaskGraph& graph, tasks::Rank rank, const Problem<T>& problem,
                   const ConditioningOperands<T>& operands, const TestPoints<T>& test,
                   const BlockOperand<T>& v, index_t q) {
    const auto layout = problem.layout();
    for (index_t i = 0; i < layout.tiles(); ++i)
        graph.add({"cross_covariance", i, q, work::pairs(layout.extent(i), test.count()),
                   tasks::Unit::pairs},
                  rank, {}, {v.handle(i)}, [&problem, layout, points = test.points, v, i] {
                      problem.kernel.evaluate(tile_points(problem.inputs, layout, i), points,
                                              Pairing::cross, Region::full, v.row(i));
                  });
    add_solve_lower(graph, rank, operands.factor, v);
}

template <class T>
void add_projection(tasks::TaskGraph& graph, tasks::Rank rank, const Conditioning<T>& conditioning,
                    const ConditioningOperands<T>& operands, const TestPoints<T>& test,
                    const BlockOperand<T>& v, const TrendWorkspace<T>& workspace, index_t first,
                    tasks::Handle result, index_t q, T* mean) {
    T* const projected = workspace.projected_at(first, mean);
    graph.add(
        {"clear_mean", 0, q}, rank, {}, {result},
        [projected, size = test.count() * workspace.width] { std::fill_n(projected, size, T(0)); });
    for (index_t i = 0; i < v.layout.tiles(); ++i)
        graph.add({"mean_product", i, q, work::gemm(v.row(i), workspace.width)}, rank,
                  {v.handle(i), operands.whitened.handle(i)}, {result},
                  [v, z = operands.whitened, i, projected] {
                      add_products<T>(v.row(i), z.row(i), projected);
                  });
    if (conditioning.trends > 0)
        graph.add({"trend", 0, q}, rank, {}, {result},
                  [&conditioning, basis_t = test.basis_t, mean, projected,
                   g = workspace.g_at(first, test.count())] {
                      trend::split<T>(conditioning, basis_t, projected, mean, g);
                  });
}

template <class T>
void add_kriging_weights(tasks::TaskGraph& graph, tasks::Rank rank,
                         const ConditioningOperands<T>& operands, const BlockOperand<T>& v,
                         MatrixView<const T> g, tasks::Handle result) {
    for (index_t i = 0; g.rows > 0 && i < v.layout.tiles(); ++i)
        graph.add({"trend_weights", i, 0}, rank, {result, operands.whitened.handle(i)},
                  {v.handle(i)}, [basis = operands.whitened, g, v, i] {
                      const auto rows = basis.row(i);
                      const auto q = rows.block(0, rows.cols - g.rows, rows.rows, g.rows);
                      blas::gemm(Op::none, Op::none, T(1), q, g, T(1), v.row(i));
                  });
    add_solve_lower_transposed(graph, rank, operands.factor, v);
}

#define GPRAT_INSTANTIATE(T)                                                                  \
    template void add_products(MatrixView<const T>, MatrixView<const T>, T*);                 \
    template void add_whitening(tasks::TaskGraph&, tasks::Rank, const Problem<T>&,            \
                                const ConditioningOperands<T>&, const TestPoints<T>&,         \
                                const BlockOperand<T>&, index_t);                             \
    template void add_projection(tasks::TaskGraph&, tasks::Rank, const Conditioning<T>&,      \
                                 const ConditioningOperands<T>&, const TestPoints<T>&,        \
                                 const BlockOperand<T>&, const TrendWorkspace<T>&, index_t,   \
                                 tasks::Handle, index_t, T*);                                 \
    template void add_kriging_weights(tasks::TaskGraph&, tasks::Rank,                         \
                                      const ConditioningOperands<T>&, const BlockOperand<T>&, \
                                      MatrixView<const T>, tasks::Handle);
GPRAT_INSTANTIATE(float)
GPRAT_INSTANTIATE(double)
#undef GPRAT_INSTANTIATE

}  // namespace gprat::gp
