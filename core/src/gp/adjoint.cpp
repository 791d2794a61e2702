#include "gprat/gp/adjoint.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>

#include "gprat/error.hpp"
#include "gprat/gp/conditioning.hpp"
#include "gprat/gp/contraction.hpp"
#include "gprat/gp/leave_one_out.hpp"
#include "gprat/linalg/access_list.hpp"
#include "gprat/linalg/blas.hpp"
#include "gprat/linalg/inverse.hpp"
#include "gprat/linalg/work.hpp"

namespace gprat::gp {

namespace {

using blas::Op;

/// The operands of the contraction, which all of its tasks share.
template <class T>
struct Contraction {
    TrainingSink<T> sink;
    const ConditioningOperands<T>& operands;
    tasks::Handle input_rows;  ///< one a tile row of the derivatives by the inputs
};

/// factor·W, W = ½(ααᵀ + outputs·(UUᵀ − K⁻¹)), in place of a tile of K⁻¹.
template <class T>
void replace_inverse_by_adjoint(MatrixView<T> tile, MatrixView<const T> rows,
                                MatrixView<const T> columns, index_t outputs, T factor) {
    const T half = T(0.5) * factor;
    const T share = half * static_cast<T>(outputs);
    const index_t trends = rows.cols - outputs;
    const auto part = [](MatrixView<const T> view, index_t first, index_t count) {
        return view.block(0, first, view.rows, count);
    };
    blas::gemm(Op::none, Op::transpose, half, part(rows, 0, outputs), part(columns, 0, outputs),
               -share, tile);
    if (trends > 0)
        blas::gemm(Op::none, Op::transpose, share, part(rows, outputs, trends),
                   part(columns, outputs, trends), T(1), tile);
}

template <class T>
AccessList writes_of(const Contraction<T>& c, index_t i, index_t j) {
    AccessList writes;
    writes.add(c.operands.factor.handle(i, j));
    if (c.sink.inputs != nullptr) {
        writes.add(c.input_rows + i);
        if (i != j) writes.add(c.input_rows + j);
    }
    return writes;
}

template <class T>
void add_likelihood_contraction(tasks::TaskGraph& graph, tasks::Rank rank,
                                const Contraction<T>& c) {
    const auto& weights = c.operands.weights;
    index_t slot = 0;
    for (index_t i = 0; i < weights.layout.tiles(); ++i)
        for (index_t j = 0; j <= i; ++j, ++slot)
            graph.add(
                {"contract", i, j,
                 work::pairs_of_tile(i, j, weights.layout.extent(i), weights.layout.extent(j)),
                 tasks::Unit::pairs},
                rank, AccessList().add(weights.handle(i)).add(weights.handle(j)),
                writes_of(c, i, j), [&c, i, j, slot] {
                    const auto tile = c.operands.factor.matrix.tile(i, j);
                    replace_inverse_by_adjoint<T>(
                        tile, c.operands.weights.row(i), c.operands.weights.row(j),
                        c.sink.problem.outputs(), factor_of_tile<T>(i, j));
                    contract_tile(c.sink, tile, i, j, slot);
                });
}

template <class T>
void add_leave_one_out_contraction(tasks::TaskGraph& graph, tasks::Rank rank,
                                   const Contraction<T>& c, const LeaveOneOut<T>& loo,
                                   tasks::Handle ready) {
    const auto layout = c.sink.problem.layout();
    index_t slot = 0;
    for (index_t i = 0; i < layout.tiles(); ++i)
        for (index_t j = 0; j <= i; ++j, ++slot)
            graph.add({"loo_contract", i, j,
                       2.0 * work::product(layout.extent(i), layout.extent(j), layout.size())},
                      rank, {ready}, {}, [&c, &loo, layout, i, j, slot] {
                          std::vector<T> values(layout.extent(i) * layout.extent(j));
                          const MatrixView<T> tile(values.data(), layout.extent(i),
                                                   layout.extent(j));
                          loo.make_adjoint(i, j, factor_of_tile<T>(i, j), tile);
                          contract_tile(c.sink, tile, i, j, slot);
                      });
}

/// −P·(y − trend) = −α by the targets.
template <class T>
void copy_negative(MatrixView<const T> from, Buffer<double>& to) {
    for (index_t i = 0; i < from.rows; ++i)
        for (index_t c = 0; c < from.cols; ++c)
            to[i * from.cols + c] = -static_cast<double>(from(i, c));
}

/// αβᵀ − outputs·U·R⁻ᵀ by the basis functions.
template <class T>
void differentiate_basis(const Conditioning<T>& c, Buffer<double>& out) {
    const auto alpha = c.alpha(), u = c.trend_weights(), r = c.trend_factor(),
               beta = c.trend_coefficients();
    for (index_t i = 0; i < c.size; ++i) {
        double* const row = out.data() + i * c.trends;
        for (index_t q = c.trends - 1; q >= 0; --q) {  // x·Rᵀ = u, from the last
            double value = static_cast<double>(u(i, q));
            for (index_t p = q + 1; p < c.trends; ++p)
                value -= row[p] * static_cast<double>(r(q, p));
            row[q] = value / static_cast<double>(r(q, q));
        }
        for (index_t q = 0; q < c.trends; ++q) {
            row[q] *= -static_cast<double>(c.outputs);
            for (index_t o = 0; o < c.outputs; ++o)
                row[q] += static_cast<double>(alpha(i, o)) * static_cast<double>(beta(q, o));
        }
    }
}

template <class T>
Adjoint make_result(const Problem<T>& problem, Inputs inputs) {
    const bool wanted = inputs == Inputs::differentiated;
    Adjoint result;
    result.noise = Buffer<double>(problem.size());
    result.targets = Buffer<double>(problem.size() * problem.outputs());
    if (wanted) {
        result.inputs = Buffer<double>(problem.size() * problem.inputs.dimension);
        result.basis = Buffer<double>(problem.size() * problem.trends());
        std::fill_n(result.inputs.data(), result.inputs.size(), 0.0);
    }
    return result;
}

}  // namespace

template <class T>
Adjoint differentiate(const Problem<T>& problem, Objective objective, Inputs inputs,
                      const tasks::RunOptions& options) {
    const bool leave_one_out = objective == Objective::leave_one_out;
    if (leave_one_out && inputs == Inputs::differentiated)
        throw InvalidArgument("leave-one-out has no derivatives by the inputs");
    const auto n = static_cast<double>(problem.size());
    const auto layout = problem.layout();
    Conditioning<T> conditioning(problem);
    const index_t slots =
        options.recording != nullptr ? 0 : layout.tiles() * (layout.tiles() + 1) / 2;
    PartialGradients partial(slots, problem.kernel.parameter_count());
    LeaveOneOut<T> loo(problem, conditioning);
    auto result = make_result(problem, inputs);

    // What tasks refer to outlives the graph, also when adding one fails.
    std::optional<ConditioningOperands<T>> operands;
    std::optional<Contraction<T>> contraction;
    tasks::TaskGraph graph(with_threads_for(options, n * n * n));
    operands.emplace(graph, conditioning);
    double* const by_inputs = inputs == Inputs::fixed ? nullptr : result.inputs.data();
    contraction.emplace(Contraction<T>{{problem, partial, result.noise.data(), by_inputs},
                                       *operands,
                                       graph.new_handles(layout.tiles())});
    const auto first = rank_after_conditioning(layout);
    const auto last = InverseRanks::end(first, layout);
    add_conditioning(graph, problem, conditioning, *operands);
    add_inverse(graph, first, operands->factor);
    if (leave_one_out) {
        const auto ready = add_leave_one_out(graph, last, loo, *operands);
        add_leave_one_out_contraction(graph, last, *contraction, loo, ready);
    } else {
        add_likelihood_contraction(graph, last, *contraction);
    }
    graph.run();
    if (options.recording != nullptr) return result;

    result.parameters = partial.sum();
    result.value = leave_one_out ? loo.value() : conditioning.log_marginal_likelihood();
    copy_negative<T>(leave_one_out ? loo.targets_adjoint() : conditioning.alpha(), result.targets);
    if (inputs == Inputs::differentiated) differentiate_basis(conditioning, result.basis);
    return result;
}

template Adjoint differentiate(const Problem<float>&, Objective, Inputs, const tasks::RunOptions&);
template Adjoint differentiate(const Problem<double>&, Objective, Inputs, const tasks::RunOptions&);

}  // namespace gprat::gp
