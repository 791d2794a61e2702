#include "gprat/gp/update.hpp"

#include <cmath>
#include <numeric>
#include <vector>

#include "gprat/error.hpp"
#include "gprat/gp/conditioning.hpp"
#include "gprat/linalg/cholesky.hpp"
#include "gprat/linalg/update.hpp"

namespace gprat::gp {

namespace {

double cube(index_t n) {
    const auto x = static_cast<double>(n);
    return x * x * x;
}

/// Factorises the rows of `problem` after the first `known` ones, which are those of `factor`.
template <class T>
TiledMatrix<T> factorise_after(const TiledMatrix<T>& factor, index_t known,
                               const Problem<T>& problem, const tasks::RunOptions& options) {
    blas::initialise();
    TiledMatrix<T> result(problem.layout());
    std::vector<index_t> rows(known);
    std::iota(rows.begin(), rows.end(), index_t{0});
    const double flops = (cube(problem.size()) - cube(known)) / 3.0;
    tasks::TaskGraph graph(with_threads_for(options, flops));
    const TiledOperand<T> tiles(graph, result);
    add_copy_rows<T>(graph, factor, rows, tiles);
    add_factorisation(graph, problem, CutOperand<T>(tiles, known));
    graph.run();
    return result;
}

}  // namespace

template <class T>
TiledMatrix<T> append_rows(const TiledMatrix<T>& factor, const Problem<T>& problem,
                           const tasks::RunOptions& options) {
    return factorise_after(factor, factor.layout().size(), problem, options);
}

template <class T>
TiledMatrix<T> delete_rows(const TiledMatrix<T>& factor, std::span<const index_t> rows,
                           const Problem<T>& problem, const tasks::RunOptions& options) {
    // An operation with reflectors takes so many times as long as one of a factorisation.
    constexpr double kReflectorCost = 2.5;
    const index_t unchanged = rows.empty() ? problem.size() : rows.front();
    RowDeletion<T> deletion(rows, problem.layout());
    if (kReflectorCost * deletion.flops() > (cube(problem.size()) - cube(unchanged)) / 3.0)
        return factorise_after(factor, unchanged, problem, options);
    deletion.allocate();
    TiledMatrix<T> result(problem.layout());
    tasks::TaskGraph graph(with_threads_for(options, deletion.flops()));
    add_delete_rows(graph, factor, deletion, TiledOperand<T>(graph, result));
    graph.run();
    return result;
}

template <class T>
void check_factor(const TiledMatrix<T>& factor) {
    const auto& layout = factor.layout();
    for (index_t i = 0; i < layout.tiles(); ++i) {
        const auto tile = factor.tile(i, i);
        for (index_t r = 0; r < tile.rows; ++r) {
            const T pivot = tile(r, r);
            if (!(std::isfinite(pivot) && pivot > T(0)))
                throw NotPositiveDefinite(layout.begin(i) + r, std::isfinite(pivot));
        }
    }
}

#define GPRAT_INSTANTIATE(T)                                                             \
    template TiledMatrix<T> append_rows(const TiledMatrix<T>&, const Problem<T>&,        \
                                        const tasks::RunOptions&);                       \
    template TiledMatrix<T> delete_rows(const TiledMatrix<T>&, std::span<const index_t>, \
                                        const Problem<T>&, const tasks::RunOptions&);    \
    template void check_factor(const TiledMatrix<T>&);
GPRAT_INSTANTIATE(float)
GPRAT_INSTANTIATE(double)
#undef GPRAT_INSTANTIATE

}  // namespace gprat::gp
