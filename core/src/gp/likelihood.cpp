#include "gprat/gp/likelihood.hpp"

#include "gprat/gp/conditioning.hpp"
#include "gprat/linalg/access_list.hpp"
#include "gprat/linalg/blas.hpp"
#include "gprat/linalg/inverse.hpp"

namespace gprat::gp {

namespace {

/// Gradients tile by tile, summed at the end in a fixed order.
class PartialGradients {
public:
    PartialGradients(index_t tiles, index_t parameters)
        : parameters_(parameters), values_(tiles * (parameters + 1), 0.0) {}

    std::span<double> kernel(index_t tile) {
        return {values_.data() + tile * (parameters_ + 1), static_cast<std::size_t>(parameters_)};
    }
    double& noise(index_t tile) { return values_[tile * (parameters_ + 1) + parameters_]; }

    void add_to(LikelihoodGradient& total) const {
        const index_t stride = parameters_ + 1;
        for (index_t i = 0; i < static_cast<index_t>(values_.size()); ++i) {
            const index_t p = i % stride;
            (p < parameters_ ? total.gradient[p] : total.noise_gradient) += values_[i];
        }
    }

private:
    index_t parameters_;
    std::vector<double> values_;
};

/// Turns a tile of K⁻¹ into the adjoint of the likelihood at K, W = ½(ααᵀ − outputs·K⁻¹), in
/// place. A tile below the diagonal stands for its mirror image too: twice the weight.
template <class T>
void replace_inverse_by_adjoint(MatrixView<T> tile, MatrixView<const T> alpha_rows,
                                MatrixView<const T> alpha_cols, bool diagonal) {
    const auto outputs = static_cast<T>(alpha_rows.cols);
    blas::gemm(blas::Op::none, blas::Op::transpose, T(1), alpha_rows, alpha_cols, -outputs, tile);
    if (!diagonal) return;
    for (index_t j = 0; j < tile.cols; ++j) {
        for (index_t i = 0; i < j; ++i) tile(i, j) = T(0);
        tile(j, j) *= T(0.5);
    }
}

template <class T>
double noise_gradient(const Problem<T>& problem, MatrixView<const T> adjoint, index_t first_row) {
    double sum = 0.0;
    for (index_t r = 0; r < adjoint.rows; ++r)
        sum += static_cast<double>(adjoint(r, r)) * problem.noise_at(first_row + r);
    return sum;
}

template <class T>
void contract_tile(const Problem<T>& problem, const TiledMatrix<T>& matrix,
                   const BlockOperand<T>& alpha, index_t i, index_t j, std::span<double> gradient,
                   double& noise) {
    const auto& layout = matrix.layout();
    const auto adjoint = matrix.tile(i, j);
    replace_inverse_by_adjoint<T>(adjoint, alpha.row(i), alpha.row(j), i == j);
    if (i == j) noise = noise_gradient<T>(problem, adjoint, layout.begin(i));
    problem.kernel.accumulate_gradient(
        tile_points(problem.inputs, layout, i), tile_points(problem.inputs, layout, j),
        covariance::Pairing::same_set,
        i == j ? covariance::Region::lower : covariance::Region::full, adjoint,
        covariance::GradientSink<T>{.parameters = gradient});
}

template <class T>
void add_contraction(tasks::TaskGraph& graph, const Problem<T>& problem,
                     const ConditioningOperands<T>& operands, PartialGradients& partial) {
    const auto& inverse = operands.factor;
    const auto rank =
        InverseRanks::end(rank_after_conditioning(inverse.layout()), inverse.layout());
    index_t slot = 0;
    for (index_t i = 0; i < inverse.layout().tiles(); ++i)
        for (index_t j = 0; j <= i; ++j, ++slot)
            graph.add({"contract", i, j}, rank,
                      {operands.weights.handle(i), operands.weights.handle(j)},
                      {inverse.handle(i, j)},
                      [&problem, &matrix = inverse.matrix, alpha = operands.weights, i, j,
                       gradient = partial.kernel(slot), &noise = partial.noise(slot)] {
                          contract_tile(problem, matrix, alpha, i, j, gradient, noise);
                      });
}

}  // namespace

template <class T>
LikelihoodGradient log_marginal_likelihood_gradient(const Problem<T>& problem,
                                                    const tasks::RunOptions& options) {
    const auto n = static_cast<double>(problem.size());
    const auto layout = problem.layout();
    const index_t parameters = problem.kernel.parameter_count();
    Conditioning<T> conditioning(problem);
    PartialGradients partial(layout.tiles() * (layout.tiles() + 1) / 2, parameters);

    tasks::TaskGraph graph(with_threads_for(options, n * n * n));
    const ConditioningOperands<T> operands(graph, conditioning);
    add_conditioning(graph, problem, conditioning, operands);
    add_inverse(graph, rank_after_conditioning(layout), operands.factor);
    add_contraction(graph, problem, operands, partial);
    graph.run();

    LikelihoodGradient result{conditioning.log_marginal_likelihood(),
                              std::vector<double>(parameters, 0.0), 0.0};
    partial.add_to(result);
    return result;
}

template LikelihoodGradient log_marginal_likelihood_gradient(const Problem<float>&,
                                                             const tasks::RunOptions&);
template LikelihoodGradient log_marginal_likelihood_gradient(const Problem<double>&,
                                                             const tasks::RunOptions&);

}  // namespace gprat::gp
