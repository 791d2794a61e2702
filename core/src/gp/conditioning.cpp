#include "gprat/gp/conditioning.hpp"

#include <cmath>
#include <numbers>
#include <numeric>

#include "gprat/linalg/access_list.hpp"
#include "gprat/linalg/blas.hpp"
#include "gprat/linalg/cholesky.hpp"
#include "gprat/linalg/solve.hpp"

namespace gprat::gp {

namespace {

template <class T>
void assemble_tile(const Problem<T>& problem, const TileLayout& layout, index_t i, index_t j,
                   MatrixView<T> tile) {
    const bool diagonal = i == j;
    problem.kernel.evaluate(tile_points(problem.inputs, layout, i),
                            tile_points(problem.inputs, layout, j), covariance::Pairing::same_set,
                            diagonal ? covariance::Region::lower : covariance::Region::full, tile);
    if (!diagonal) return;
    for (index_t r = 0; r < tile.rows; ++r)
        tile(r, r) += static_cast<T>(problem.noise_at(layout.begin(i) + r));
}

template <class T>
double sum_of_log_diagonal(MatrixView<T> tile) {
    double sum = 0.0;
    for (index_t r = 0; r < tile.rows; ++r) sum += std::log(static_cast<double>(tile(r, r)));
    return sum;
}

template <class T>
void copy_targets(const Problem<T>& problem, index_t begin, MatrixView<T> rows) {
    for (index_t c = 0; c < rows.cols; ++c)
        for (index_t r = 0; r < rows.rows; ++r) rows(r, c) = problem.targets_t(c, begin + r);
}

template <class T>
void copy(MatrixView<const T> from, MatrixView<T> to) {
    for (index_t c = 0; c < to.cols; ++c) std::copy_n(from.column(c), to.rows, to.column(c));
}

template <class T>
void add_assembly(tasks::TaskGraph& graph, const Problem<T>& problem, const TiledOperand<T>& k) {
    const auto layout = problem.layout();
    for (index_t j = 0; j < layout.tiles(); ++j)
        for (index_t i = j; i < layout.tiles(); ++i)
            graph.add({"assemble", i, j}, CholeskyRanks::feed(j), {}, {k.handle(i, j)},
                      [&problem, &matrix = k.matrix, layout, i, j] {
                          assemble_tile(problem, layout, i, j, matrix.tile(i, j));
                      });
}

template <class T>
void add_log_determinant(tasks::TaskGraph& graph, const TiledOperand<T>& l,
                         std::vector<double>& sums) {
    for (index_t i = 0; i < l.layout().tiles(); ++i)
        graph.add(
            {"log_determinant", i, i}, CholeskyRanks::feed(i), {l.handle(i, i)}, {},
            [&matrix = l.matrix, &sums, i] { sums[i] = sum_of_log_diagonal(matrix.tile(i, i)); });
}

}  // namespace

template <class T>
Conditioning<T>::Conditioning(const Problem<T>& problem)
    : size(problem.size()),
      outputs(problem.outputs()),
      factor(problem.layout()),
      whitened(size * outputs),
      alpha(size * outputs),
      half_log_determinants(problem.layout().tiles()) {
    blas::initialise();
}

template <class T>
double Conditioning<T>::log_determinant() const {
    return 2.0 * std::accumulate(half_log_determinants.begin(), half_log_determinants.end(), 0.0);
}

// R&W 2006, eq. 2.30, with yᵀK⁻¹y as the squared norm of L⁻¹y.
template <class T>
double Conditioning<T>::log_marginal_likelihood() const {
    double fit = 0.0;
    for (index_t i = 0; i < size * outputs; ++i) {
        const auto z = static_cast<double>(whitened[i]);
        fit += z * z;
    }
    const double log_normaliser =
        log_determinant() + static_cast<double>(size) * std::log(2.0 * std::numbers::pi);
    return -0.5 * (fit + static_cast<double>(outputs) * log_normaliser);
}

template <class T>
ConditioningOperands<T>::ConditioningOperands(tasks::TaskGraph& graph,
                                              const Conditioning<T>& conditioning)
    : factor(graph, conditioning.factor),
      whitened(graph, conditioning.whitened_targets(), factor.layout()),
      weights(graph, conditioning.weights(), factor.layout()),
      all_weights(graph.new_handles(1)) {}

template <class T>
void add_conditioning(tasks::TaskGraph& graph, const Problem<T>& problem,
                      Conditioning<T>& conditioning, const ConditioningOperands<T>& operands) {
    const auto& [factor, whitened, weights, all_weights] = operands;
    const auto layout = problem.layout();
    const auto solve_rank = CholeskyRanks::end(layout);

    add_assembly(graph, problem, factor);
    add_cholesky(graph, factor);
    add_log_determinant(graph, factor, conditioning.half_log_determinants);

    for (index_t i = 0; i < layout.tiles(); ++i)
        graph.add({"copy_targets", i, 0}, solve_rank, {}, {whitened.handle(i)},
                  [&problem, block = whitened, layout, i] {
                      copy_targets(problem, layout.begin(i), block.row(i));
                  });
    add_solve_lower(graph, solve_rank, factor, whitened);
    for (index_t i = 0; i < layout.tiles(); ++i)
        graph.add({"copy_whitened", i, 0}, solve_rank, {whitened.handle(i)}, {weights.handle(i)},
                  [from = whitened, to = weights, i] { copy<T>(from.row(i), to.row(i)); });
    add_solve_lower_transposed(graph, solve_rank, factor, weights);
    graph.add({"weights_ready"}, solve_rank, AccessList().rows(weights, {0, layout.tiles()}),
              AccessList().add(all_weights), [] {});
}

tasks::Rank rank_after_conditioning(const TileLayout& layout) {
    return CholeskyRanks::end(layout) + 1;
}

template struct Conditioning<float>;
template struct Conditioning<double>;
template struct ConditioningOperands<float>;
template struct ConditioningOperands<double>;
template void add_conditioning(tasks::TaskGraph&, const Problem<float>&, Conditioning<float>&,
                               const ConditioningOperands<float>&);
template void add_conditioning(tasks::TaskGraph&, const Problem<double>&, Conditioning<double>&,
                               const ConditioningOperands<double>&);

}  // namespace gprat::gp
