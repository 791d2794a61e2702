#include "gprat/gp/posterior.hpp"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "gprat/error.hpp"
#include "gprat/gp/leave_one_out.hpp"
#include "gprat/linalg/blas.hpp"
#include "gprat/linalg/multiply.hpp"
#include "gprat/linalg/solve.hpp"

namespace gprat::gp {

namespace {

template <class T>
void copy_lower(const TiledMatrix<T>& factor, index_t i, index_t j, MatrixView<T> dense) {
    const auto& layout = factor.layout();
    const auto tile = factor.tile(i, j);
    const auto target = dense.block(layout.begin(i), layout.begin(j), tile.rows, tile.cols);
    for (index_t c = 0; c < tile.cols; ++c) {
        const index_t above = i == j ? c : 0;
        std::fill_n(target.column(c), above, T(0));
        std::copy(tile.column(c) + above, tile.column(c) + tile.rows, target.column(c) + above);
    }
    if (i == j) return;
    const auto mirror = dense.block(layout.begin(j), layout.begin(i), tile.cols, tile.rows);
    for (index_t c = 0; c < mirror.cols; ++c) std::fill_n(mirror.column(c), mirror.rows, T(0));
}

template <class T>
void check_groups(const TestPoints<T>& test, index_t group) {
    if (group < 1 || test.count() % group != 0)
        throw InvalidArgument("test points must come in whole groups");
}

std::unique_lock<tasks::ForkSafeMutex> lock_unless_cancelled(tasks::ForkSafeMutex& mutex,
                                                             const tasks::RunOptions& options) {
    // Who waits, waits for a factorisation.
    std::unique_lock lock(mutex, std::defer_lock);
    for (int attempt = 1; !lock.try_lock(); ++attempt) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        if (attempt % 50 == 0 && options.should_cancel && options.should_cancel())
            throw Cancelled();
    }
    return lock;
}

}  // namespace

template <class T>
Posterior<T>::Posterior(Problem<T> problem) : problem_(std::move(problem)) {}

template <class T>
Posterior<T>::Posterior(Problem<T> problem, TiledMatrix<T> factor)
    : problem_(std::move(problem)),
      conditioning_(std::make_unique<Conditioning<T>>(problem_, std::move(factor))) {}

template <class T>
template <class AddTasks>
void Posterior<T>::run(const tasks::RunOptions& options, double flops, AddTasks&& add) {
    auto lock = lock_unless_cancelled(mutex_, options);
    blas::initialise();
    if (is_solved_) {
        // Others may use the factor at the same time: it doesn't change any more.
        lock.unlock();
        tasks::TaskGraph graph(with_threads_for(options, flops));
        add(graph, *conditioning_, ConditioningOperands<T>(graph, *conditioning_));
        return;
    }
    const auto n = static_cast<double>(problem_.size());
    // What is new is kept once all has worked out; a factor that was given, in any case.
    std::unique_ptr<Conditioning<T>> computed;
    if (!conditioning_) computed = std::make_unique<Conditioning<T>>(problem_);
    auto& conditioning = computed ? *computed : *conditioning_;
    const auto solves = 4.0 * static_cast<double>(conditioning.outputs + conditioning.trends);
    flops += n * n * (computed ? n / 3.0 : solves);
    tasks::TaskGraph graph(with_threads_for(options, flops));
    const ConditioningOperands<T> operands(graph, conditioning);
    if (computed) add_factorisation(graph, problem_, CutOperand<T>(operands.factor, 0));
    add_solves(graph, problem_, conditioning, operands);
    add(graph, conditioning, operands);
    if (options.recording != nullptr) return;
    if (computed) conditioning_ = std::move(computed);
    is_solved_ = true;
}

template <class T>
void Posterior<T>::predict_mean(TestPoints<T> test, T* mean, const tasks::RunOptions& options) {
    run(options, prediction_flops(problem_, test.count(), Prediction::mean),
        [&](tasks::TaskGraph& graph, const Conditioning<T>& conditioning,
            const ConditioningOperands<T>& operands) {
            add_predict_mean(graph, problem_, conditioning, operands, test, mean);
            graph.run();
        });
}

template <class T>
Clipping Posterior<T>::predict_variance(TestPoints<T> test, T* mean, T* variance,
                                        const tasks::RunOptions& options) {
    return predict_groups(test, 1, mean, variance, nullptr, options);
}

template <class T>
Clipping Posterior<T>::predict_joint(TestPoints<T> test, index_t group, T* mean, T* covariance,
                                     ColumnBuffer<T>* whitened, const tasks::RunOptions& options) {
    check_groups(test, group);
    if (group == 1 || group != test.count())
        return predict_groups(test, group, mean, covariance, whitened, options);
    return predict_all(test, mean, covariance, whitened, options);
}

template <class T>
Clipping Posterior<T>::predict_covariance(TestPoints<T> test, T* mean, T* covariance,
                                          const tasks::RunOptions& options) {
    return predict_all(test, mean, covariance, nullptr, options);
}

// Workspaces are made outside `run`, so that they outlive the graph also when adding a task fails.
template <class T>
Clipping Posterior<T>::predict_groups(TestPoints<T> test, index_t group, T* mean, T* covariance,
                                      ColumnBuffer<T>* whitened, const tasks::RunOptions& options) {
    std::optional<VarianceWorkspace<T>> workspace;
    run(options, prediction_flops(problem_, test.count(), Prediction::variance),
        [&](tasks::TaskGraph& graph, const Conditioning<T>& conditioning,
            const ConditioningOperands<T>& operands) {
            const index_t slots = whitened != nullptr ? std::max<index_t>(test.count(), 1)
                                                      : column_slots(graph, options.blocks);
            workspace.emplace(problem_, test.count(), group, graph, slots);
            add_predict_groups(graph, problem_, conditioning, operands, test, group, mean,
                               covariance, *workspace);
            graph.run();
        });
    if (whitened != nullptr) *whitened = std::move(workspace->v);
    return count(workspace->clipped);
}

template <class T>
Clipping Posterior<T>::predict_all(TestPoints<T> test, T* mean, T* covariance,
                                   ColumnBuffer<T>* whitened, const tasks::RunOptions& options) {
    ColumnBuffer<T> v(problem_.size(), test.count());
    const TrendWorkspace<T> trend(problem_, test.count());
    std::vector<Clipping> clipped;
    run(options, prediction_flops(problem_, test.count(), Prediction::covariance),
        [&](tasks::TaskGraph& graph, const Conditioning<T>& conditioning,
            const ConditioningOperands<T>& operands) {
            add_predict_covariance(graph, problem_, conditioning, operands, test, mean, covariance,
                                   v, trend, clipped);
            graph.run();
        });
    if (whitened != nullptr) *whitened = std::move(v);
    return count(clipped);
}

template <class T>
PosteriorAdjoint Posterior<T>::pull_back(TestPoints<T> test, Cotangents<T> cotangents,
                                         Derivatives wanted, const ColumnBuffer<T>* whitened,
                                         const tasks::RunOptions& options) {
    check_groups(test, cotangents.group);
    if (test.count() == 0) cotangents.covariance = nullptr;
    if (!cotangents.has_covariance()) cotangents.group = 1;
    const auto n = static_cast<double>(problem_.size());
    std::optional<PullBack<T>> work;
    run(options, n * n + prediction_flops(problem_, test.count(), Prediction::variance),
        [&](tasks::TaskGraph& graph, const Conditioning<T>& conditioning,
            const ConditioningOperands<T>& operands) {
            work.emplace(problem_, conditioning, test, cotangents, wanted, whitened, graph,
                         options.blocks);
            work->add(graph, operands);
            graph.run();
        });
    return work->finish();
}

template <class T>
Clipping Posterior<T>::count(const std::vector<Clipping>& blocks) {
    const auto clipping = total(blocks);
    clipped_variances_ += clipping.count;
    return clipping;
}

template <class T>
PredictionGradient Posterior<T>::predict_gradient(TestPoints<T> test,
                                                  const tasks::RunOptions& options) {
    const index_t m = test.count(), d = problem_.inputs.dimension;
    PredictionGradient gradient{Buffer<double>(m * problem_.outputs() * d), Buffer<double>(m * d),
                                Buffer<double>(m * problem_.trends())};
    const Buffer<T> mean(m * problem_.outputs());
    std::optional<VarianceWorkspace<T>> workspace;
    run(options, 2.0 * prediction_flops(problem_, m, Prediction::variance),
        [&](tasks::TaskGraph& graph, const Conditioning<T>& conditioning,
            const ConditioningOperands<T>& operands) {
            workspace.emplace(problem_, m, 1, graph, column_slots(graph, options.blocks));
            add_predict_gradient(graph, problem_, conditioning, operands, test, gradient, mean,
                                 *workspace);
            graph.run();
        });
    return gradient;
}

template <class T>
template <class AddTasks>
void Posterior<T>::run_on_columns(MatrixView<T> b, const tasks::RunOptions& options,
                                  AddTasks&& add) {
    const auto n = static_cast<double>(problem_.size());
    run(options, 2.0 * n * n * static_cast<double>(b.cols),
        [&](tasks::TaskGraph& graph, const Conditioning<T>&,
            const ConditioningOperands<T>& operands) {
            const auto& l = operands.factor;
            add(graph, rank_after_conditioning(l.layout()), l,
                BlockOperand<T>(graph, b, l.layout()));
            graph.run();
        });
}

template <class T>
void Posterior<T>::solve(MatrixView<T> b, const tasks::RunOptions& options) {
    run_on_columns(b, options, [](auto& graph, auto rank, const auto& l, const auto& block) {
        add_solve_lower(graph, rank, l, block);
        add_solve_lower_transposed(graph, rank, l, block);
    });
}

template <class T>
void Posterior<T>::multiply(MatrixView<T> b, const tasks::RunOptions& options) {
    run_on_columns(b, options, [](auto& graph, auto rank, const auto& l, const auto& block) {
        add_multiply_lower_transposed(graph, rank, l, block);
        add_multiply_lower(graph, rank, l, block);
    });
}

template <class T>
void Posterior<T>::color(MatrixView<T> b, const tasks::RunOptions& options) {
    run_on_columns(b, options, [](auto& graph, auto rank, const auto& l, const auto& block) {
        add_multiply_lower(graph, rank, l, block);
    });
}

template <class T>
void Posterior<T>::inverse_diagonal(T* diagonal, const tasks::RunOptions& options) {
    const auto n = static_cast<double>(problem_.size());
    ColumnBuffer<T> v;
    run(options, n * n * n / 3.0,
        [&](tasks::TaskGraph& graph, const Conditioning<T>& conditioning,
            const ConditioningOperands<T>& operands) {
            const auto layout = problem_.layout();
            const index_t slots = std::min(layout.tiles(), column_slots(graph, options.blocks));
            v = ColumnBuffer<T>(problem_.size(), slots * layout.tile_size());
            add_inverse_diagonal(graph, problem_, conditioning, operands, v, slots, diagonal);
            graph.run();
        });
}

template <class T>
void Posterior<T>::cholesky(MatrixView<T> dense, const tasks::RunOptions& options) {
    const auto n = static_cast<double>(problem_.size());
    run(options, n * n,
        [&](tasks::TaskGraph& graph, const Conditioning<T>&,
            const ConditioningOperands<T>& operands) {
            const auto& l = operands.factor;
            const auto rank = rank_after_conditioning(l.layout());
            for (index_t i = 0; i < l.layout().tiles(); ++i)
                for (index_t j = 0; j <= i; ++j)
                    graph.add(
                        {"copy_factor", i, j}, rank, {l.handle(i, j)}, {},
                        [&matrix = l.matrix, i, j, dense] { copy_lower(matrix, i, j, dense); });
            graph.run();
        });
}

template <class T>
const Conditioning<T>& Posterior<T>::conditioning(const tasks::RunOptions& options) {
    run(options, 0.0,
        [](tasks::TaskGraph& graph, const Conditioning<T>&, const ConditioningOperands<T>&) {
            graph.run();
        });
    return *conditioning_;
}

template <class T>
const TiledMatrix<T>& Posterior<T>::factor(const tasks::RunOptions& options) {
    const auto* const known = known_factor(options);
    return known != nullptr ? *known : conditioning(options).factor;
}

template <class T>
const TiledMatrix<T>* Posterior<T>::known_factor(const tasks::RunOptions& options) {
    const auto lock = lock_unless_cancelled(mutex_, options);
    return conditioning_ ? &conditioning_->factor : nullptr;
}

template class Posterior<float>;
template class Posterior<double>;

}  // namespace gprat::gp
