#include "gprat/gp/predict_gradient.hpp"

#include <algorithm>
#include <vector>

#include "gprat/gp/contraction.hpp"
#include "gprat/gp/trend.hpp"
#include "gprat/linalg/access_list.hpp"
#include "gprat/linalg/work.hpp"

namespace gprat::gp {

namespace {

using covariance::Pairing;
using covariance::Points;
using covariance::Region;

// Training points that the mean's derivatives take at a time.
constexpr index_t kRows = 512;

/// gradient (points × outputs × dimension) := derivatives of Σ_i α_i·k(x_i, point), by output.
template <class T>
void differentiate_mean(const Problem<T>& problem, MatrixView<const T> alpha, Points<T> points,
                        double* gradient) {
    const index_t d = points.dimension, k = alpha.cols;
    std::vector<double> of_output(points.count * d);
    std::vector<T> weights(kRows * points.count);
    for (index_t o = 0; o < k; ++o) {
        std::fill(of_output.begin(), of_output.end(), 0.0);
        for (index_t begin = 0; begin < problem.size(); begin += kRows) {
            const index_t rows = std::min(kRows, problem.size() - begin);
            const MatrixView<T> block(weights.data(), rows, points.count);
            for (index_t j = 0; j < block.cols; ++j)
                std::copy_n(alpha.column(o) + begin, rows, block.column(j));
            problem.kernel.accumulate_gradient(problem.inputs.slice(begin, rows), points,
                                               Pairing::cross, Region::full, block,
                                               {{}, nullptr, of_output.data()});
        }
        for (index_t j = 0; j < points.count; ++j)
            std::copy_n(of_output.data() + j * d, d, gradient + (j * k + o) * d);
    }
}

/// Adds the derivatives of −2·Σ_i v_i·k(x_i, point); overwrites v.
template <class T>
void subtract_explained(const Problem<T>& problem, Points<T> rows, Points<T> points,
                        MatrixView<T> v, double* gradient) {
    for (index_t j = 0; j < v.cols; ++j)
        for (index_t i = 0; i < v.rows; ++i) v(i, j) *= T(-2);
    problem.kernel.accumulate_gradient(rows, points, Pairing::cross, Region::full, v,
                                       {{}, nullptr, gradient});
}

}  // namespace

// The variance is k** − ‖v‖² + ‖g‖², v = L⁻¹k* and g = R⁻ᵀh* − Qᵀv: its adjoint at k* is
// −2·L⁻ᵀ(v + Q·g).
template <class T>
void add_predict_gradient(tasks::TaskGraph& graph, const Problem<T>& problem,
                          const Conditioning<T>& conditioning,
                          const ConditioningOperands<T>& operands, TestPoints<T> test,
                          const PredictionGradient& gradient, const Buffer<T>& mean,
                          const VarianceWorkspace<T>& workspace) {
    const auto& blocks = workspace.blocks;
    const auto layout = problem.layout();
    const index_t d = problem.inputs.dimension, k = problem.outputs(), trends = problem.trends();
    const auto results = graph.new_handles(blocks.tiles());
    const auto first_rank = rank_after_conditioning(layout);
    std::vector<tasks::Handle> slot_handles;
    for (index_t slot = 0; slot < workspace.slots; ++slot)
        slot_handles.push_back(
            graph.new_handles(layout.tiles(), bytes_of<T>(layout.tile_size(), blocks.tile_size())));

    for (index_t q = 0; q < blocks.tiles(); ++q) {
        const auto rank = first_rank + q;
        const auto block = test.tile(blocks, q);
        const index_t first = blocks.begin(q);
        const BlockOperand<T> v(workspace.block(q), layout, slot_handles[q % workspace.slots]);
        const auto g = workspace.trend.g_at(first, block.count());
        double* const by_variance = gradient.variance.data() + first * d;
        graph.add(
            {"mean_gradient", 0, q, work::pairs(problem.size(), block.count()), tasks::Unit::pairs},
            rank, {operands.all_weights}, {},
            [&problem, &conditioning, points = block.points,
             out = gradient.mean.data() + first * k * d] {
                differentiate_mean<T>(problem, conditioning.alpha(), points, out);
            });
        add_whitening(graph, rank, problem, operands, block, v, q);
        add_projection(graph, rank, conditioning, operands, block, v, workspace.trend, first,
                       results + q, q, mean.data() + first * k);
        if (trends > 0)
            graph.add({"trend_gradient", 0, q}, rank, {}, {results + q},
                      [&conditioning, g, out = gradient.basis.data() + first * trends] {
                          trend::differentiate<T>(conditioning, g, out);
                      });
        add_kriging_weights<T>(graph, rank, operands, v, g, results + q);
        graph.add({"prior_gradient", 0, q}, rank, {}, {results + q},
                  [&problem, points = block.points, all = gradient.variance.data(), by_variance] {
                      std::fill_n(by_variance, points.count * points.dimension, 0.0);
                      contract_variances<T>(problem, points, nullptr, {{}, all});
                  });
        for (index_t i = 0; i < layout.tiles(); ++i)
            graph.add({"variance_gradient", i, q, work::pairs(layout.extent(i), block.count()),
                       tasks::Unit::pairs},
                      rank, {}, AccessList().add(v.handle(i)).add(results + q),
                      [&problem, layout, points = block.points, v, i, by_variance] {
                          subtract_explained(problem, tile_points(problem.inputs, layout, i),
                                             points, v.row(i), by_variance);
                      });
    }
}

template void add_predict_gradient(tasks::TaskGraph&, const Problem<float>&,
                                   const Conditioning<float>&, const ConditioningOperands<float>&,
                                   TestPoints<float>, const PredictionGradient&,
                                   const Buffer<float>&, const VarianceWorkspace<float>&);
template void add_predict_gradient(tasks::TaskGraph&, const Problem<double>&,
                                   const Conditioning<double>&, const ConditioningOperands<double>&,
                                   TestPoints<double>, const PredictionGradient&,
                                   const Buffer<double>&, const VarianceWorkspace<double>&);

}  // namespace gprat::gp
