#include "gprat/gp/conditioning.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <utility>

#include "gprat/error.hpp"
#include "gprat/gp/assembly.hpp"
#include "gprat/linalg/access_list.hpp"
#include "gprat/linalg/blas.hpp"
#include "gprat/linalg/cholesky.hpp"
#include "gprat/linalg/solve.hpp"
#include "gprat/linalg/work.hpp"

namespace gprat::gp {

namespace {

template <class T>
void assemble_block(const Problem<T>& problem, index_t row, index_t column, MatrixView<T> block) {
    assemble_tile(
        problem.kernel, problem.inputs.slice(row, block.rows),
        problem.inputs.slice(column, block.cols),
        [&problem](index_t i) { return problem.noise_at(i); }, block);
}

template <class T>
double sum_of_log_diagonal(MatrixView<T> tile) {
    double sum = 0.0;
    for (index_t r = 0; r < tile.rows; ++r) sum += std::log(static_cast<double>(tile(r, r)));
    return sum;
}

/// Rows of [Y H].
template <class T>
void copy_targets(const Problem<T>& problem, index_t begin, MatrixView<T> rows) {
    for (index_t c = 0; c < rows.cols; ++c) {
        const bool is_target = c < problem.outputs();
        const auto& source = is_target ? problem.targets_t : problem.basis_t;
        const index_t column = is_target ? c : c - problem.outputs();
        for (index_t r = 0; r < rows.rows; ++r) rows(r, c) = source(column, begin + r);
    }
}

/// Rounding of a column of L⁻¹H beside what its rows contribute: the factor's, which few rows have
/// too.
constexpr index_t rounding_of_the_factor = 32;

/// A column of L⁻¹H that those before it explain to within rounding has no coefficient of its own.
template <class T>
void check_rank(MatrixView<const T> r, index_t rows) {
    const double rounding =
        static_cast<double>(rows + rounding_of_the_factor) * std::numeric_limits<T>::epsilon();
    for (index_t j = 0; j < r.cols; ++j) {
        double squares = 0.0;
        for (index_t i = 0; i <= j; ++i)
            squares += static_cast<double>(r(i, j)) * static_cast<double>(r(i, j));
        // Written so that NaN fails.
        if (!(static_cast<double>(r(j, j)) > rounding * std::sqrt(squares))) throw RankDeficient(j);
    }
}

/// L⁻¹H = Q·R; takes the part in the span of Q out of L⁻¹Y, and its coefficients are β.
template <class T>
void project_trend(const Conditioning<T>& c) {
    using blas::Op;
    const auto q = c.trend_basis();
    const auto targets = c.whitened_columns().block(0, 0, c.size, c.outputs);
    const auto beta = c.trend_coefficients();
    blas::qr(q, c.trend_factor());
    check_rank<T>(c.trend_factor(), c.size);
    blas::gemm(Op::transpose, Op::none, T(1), q, targets, T(0), beta);
    blas::gemm(Op::none, Op::none, T(-1), q, beta, T(1), targets);
    const auto r = c.trend_factor();
    for (index_t o = 0; o < beta.cols; ++o)
        for (index_t j = beta.rows - 1; j >= 0; --j) {
            for (index_t i = j + 1; i < beta.rows; ++i) beta(j, o) -= r(j, i) * beta(i, o);
            beta(j, o) /= r(j, j);
        }
}

template <class T>
void copy(MatrixView<const T> from, MatrixView<T> to) {
    for (index_t c = 0; c < to.cols; ++c) std::copy_n(from.column(c), to.rows, to.column(c));
}

template <class T>
void add_assembly(tasks::TaskGraph& graph, const Problem<T>& problem, const CutOperand<T>& k) {
    for (index_t j = 0; j < k.blocks(); ++j)
        for (index_t i = std::max(j, k.blocks_before_cut()); i < k.blocks(); ++i)
            graph.add({"assemble", i, j,
                       work::pairs_of_tile(i, j, k.block(i, j).rows, k.block(i, j).cols),
                       tasks::Unit::pairs},
                      CholeskyRanks::feed(j), {}, {k.handle(i, j)},
                      [&problem, row = k.begin(i), column = k.begin(j), block = k.block(i, j)] {
                          assemble_block(problem, row, column, block);
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
    : Conditioning(problem, TiledMatrix<T>(problem.layout())) {}

template <class T>
Conditioning<T>::Conditioning(const Problem<T>& problem, TiledMatrix<T> factor_)
    : size(problem.size()),
      outputs(problem.outputs()),
      trends(problem.trends()),
      factor(std::move(factor_)),
      whitened(size * (outputs + trends)),
      weights(size * (outputs + trends)),
      r(trends * trends),
      beta(trends * outputs),
      half_log_determinants(problem.layout().tiles()) {
    blas::initialise();
}

template <class T>
double Conditioning<T>::log_determinant() const {
    return 2.0 * std::accumulate(half_log_determinants.begin(), half_log_determinants.end(), 0.0);
}

// R&W 2006, eqs. 2.30 and 2.45, with yᵀPy as the squared norm of the projected L⁻¹y.
template <class T>
double Conditioning<T>::log_marginal_likelihood() const {
    double fit = 0.0;
    for (index_t i = 0; i < size * outputs; ++i) {
        const auto z = static_cast<double>(whitened[i]);
        fit += z * z;
    }
    double log_normaliser =
        log_determinant() + static_cast<double>(size - trends) * std::log(2.0 * std::numbers::pi);
    for (index_t j = 0; j < trends; ++j)
        log_normaliser += 2.0 * std::log(static_cast<double>(trend_factor()(j, j)));
    return -0.5 * (fit + static_cast<double>(outputs) * log_normaliser);
}

template <class T>
ConditioningOperands<T>::ConditioningOperands(tasks::TaskGraph& graph,
                                              const Conditioning<T>& conditioning)
    : factor(graph, conditioning.factor),
      whitened(graph, conditioning.whitened_columns(), factor.layout()),
      weights(graph, conditioning.weight_columns(), factor.layout()),
      all_weights(graph.new_handles(
          1, bytes_of<T>(conditioning.size, conditioning.outputs + conditioning.trends))) {}

template <class T>
void add_factorisation(tasks::TaskGraph& graph, const Problem<T>& problem,
                       const CutOperand<T>& factor) {
    add_assembly(graph, problem, factor);
    add_cholesky(graph, factor);
}

template <class T>
void add_solves(tasks::TaskGraph& graph, const Problem<T>& problem, Conditioning<T>& conditioning,
                const ConditioningOperands<T>& operands) {
    const auto& [factor, whitened, weights, all_weights] = operands;
    const auto layout = problem.layout();
    const auto solve_rank = CholeskyRanks::end(layout);

    add_log_determinant(graph, factor, conditioning.half_log_determinants);

    for (index_t i = 0; i < layout.tiles(); ++i)
        graph.add({"copy_targets", i, 0}, solve_rank, {}, {whitened.handle(i)},
                  [&problem, block = whitened, layout, i] {
                      copy_targets(problem, layout.begin(i), block.row(i));
                  });
    add_solve_lower(graph, solve_rank, factor, whitened);
    if (problem.trends() > 0)
        graph.add({"project_trend"}, solve_rank, AccessList(),
                  AccessList().rows(whitened, {0, layout.tiles()}),
                  [&conditioning] { project_trend(conditioning); });
    for (index_t i = 0; i < layout.tiles(); ++i)
        graph.add({"copy_whitened", i, 0}, solve_rank, {whitened.handle(i)}, {weights.handle(i)},
                  [from = whitened, to = weights, i] { copy<T>(from.row(i), to.row(i)); });
    add_solve_lower_transposed(graph, solve_rank, factor, weights);
    graph.add({"weights_ready"}, solve_rank, AccessList().rows(weights, {0, layout.tiles()}),
              AccessList().add(all_weights), [] {});
}

template <class T>
void add_conditioning(tasks::TaskGraph& graph, const Problem<T>& problem,
                      Conditioning<T>& conditioning, const ConditioningOperands<T>& operands) {
    add_factorisation(graph, problem, CutOperand<T>(operands.factor, 0));
    add_solves(graph, problem, conditioning, operands);
}

tasks::Rank rank_after_conditioning(const TileLayout& layout) {
    return CholeskyRanks::end(layout) + 1;
}

#define GPRAT_INSTANTIATE(T)                                                                     \
    template struct Conditioning<T>;                                                             \
    template struct ConditioningOperands<T>;                                                     \
    template void add_factorisation(tasks::TaskGraph&, const Problem<T>&, const CutOperand<T>&); \
    template void add_solves(tasks::TaskGraph&, const Problem<T>&, Conditioning<T>&,             \
                             const ConditioningOperands<T>&);                                    \
    template void add_conditioning(tasks::TaskGraph&, const Problem<T>&, Conditioning<T>&,       \
                                   const ConditioningOperands<T>&);
GPRAT_INSTANTIATE(float)
GPRAT_INSTANTIATE(double)
#undef GPRAT_INSTANTIATE

}  // namespace gprat::gp
