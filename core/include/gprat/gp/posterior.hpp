#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "gprat/gp/conditioning.hpp"
#include "gprat/gp/predict.hpp"
#include "gprat/gp/predict_gradient.hpp"
#include "gprat/gp/problem.hpp"
#include "gprat/gp/pull_back.hpp"
#include "gprat/tasks/fork_safe_mutex.hpp"
#include "gprat/tasks/task_graph.hpp"

namespace gprat::gp {

/// A Gaussian process given its data. The factor is computed by the first call that needs it, in
/// one graph with that call's own tasks, and kept; or it is given, and the solves with it are done
/// by the first call. Several threads may call at the same time.
///
/// Outputs are row-major arrays as NumPy has them: means m × outputs, covariance m × m.
template <class T>
class Posterior {
public:
    explicit Posterior(Problem<T> problem);
    Posterior(Problem<T> problem, TiledMatrix<T> factor);

    const Problem<T>& problem() const { return problem_; }

    /// K(X*, X)·α + H*·β (R&W 2006, eqs. 2.25 and 2.41).
    void predict_mean(TestPoints<T> test, T* mean, const tasks::RunOptions& options);

    /// Mean, and the variance of the latent function, k(x, x) − ‖L⁻¹k(X, x)‖² + ‖g‖² (eqs. 2.26 and
    /// 2.42). Where rounding makes it negative it is clipped, which is counted. Works in blocks of
    /// points: memory n × block.
    Clipping predict_variance(TestPoints<T> test, T* mean, T* variance,
                              const tasks::RunOptions& options);

    /// Mean and full covariance, K** − VᵀV + GᵀG with V = L⁻¹K(X, X*): memory n·m + m². Clips its
    /// diagonal.
    Clipping predict_covariance(TestPoints<T> test, T* mean, T* covariance,
                                const tasks::RunOptions& options);

    /// Mean and joint covariances of so many consecutive points each: variances for 1, all for m.
    /// V = L⁻¹K(X, X*) goes to `whitened`, n × m, unless that is null.
    Clipping predict_joint(TestPoints<T> test, index_t group, T* mean, T* covariance,
                           ColumnBuffer<T>* whitened, const tasks::RunOptions& options);

    /// Derivatives of a function of what `predict_joint` gives, from those by its results; see
    /// PullBack. V, if it is known, saves half of the work that the covariances need.
    PosteriorAdjoint pull_back(TestPoints<T> test, Cotangents<T> cotangents, Derivatives wanted,
                               const ColumnBuffer<T>* whitened, const tasks::RunOptions& options);

    /// How many variances all calls have clipped.
    index_t clipped_variances() const { return clipped_variances_; }

    /// Derivatives of mean and variance by the test points. Memory as for the variance.
    PredictionGradient predict_gradient(TestPoints<T> test, const tasks::RunOptions& options);

    /// Overwrites the columns of B (n × r) with K⁻¹·B.
    void solve(MatrixView<T> b, const tasks::RunOptions& options);

    /// Overwrites the columns of B (n × r) with K·B = L·(Lᵀ·B).
    void multiply(MatrixView<T> b, const tasks::RunOptions& options);

    /// Overwrites the columns of B (n × r) with L·B: gives white noise the covariance K.
    void color(MatrixView<T> b, const tasks::RunOptions& options);

    /// diag(P), P = K⁻¹ − UUᵀ, zero where only rounding is left, from the factor: n³/3 operations,
    /// memory n × tile a slot.
    void inverse_diagonal(T* diagonal, const tasks::RunOptions& options);

    /// Writes L, with zeros above the diagonal.
    void cholesky(MatrixView<T> dense, const tasks::RunOptions& options);

    /// K⁻¹·Y and the scalars; computes the factor if need be.
    const Conditioning<T>& conditioning(const tasks::RunOptions& options);

    /// L; computes it if need be.
    const TiledMatrix<T>& factor(const tasks::RunOptions& options);

    /// L, or null where it has not been computed. Waits for a thread that is at it.
    const TiledMatrix<T>* known_factor(const tasks::RunOptions& options);

private:
    /// Runs what `add(graph, conditioning, operands)` adds, after the factorisation where that's
    /// still due.
    template <class AddTasks>
    void run(const tasks::RunOptions& options, double flops, AddTasks&& add);

    /// Runs what `add(graph, rank, factor, block)` adds for the columns of B.
    template <class AddTasks>
    void run_on_columns(MatrixView<T> b, const tasks::RunOptions& options, AddTasks&& add);

    Clipping predict_groups(TestPoints<T> test, index_t group, T* mean, T* covariance,
                            ColumnBuffer<T>* whitened, const tasks::RunOptions& options);
    Clipping predict_all(TestPoints<T> test, T* mean, T* covariance, ColumnBuffer<T>* whitened,
                         const tasks::RunOptions& options);

    /// Adds up what blocks have clipped, and remembers how much.
    Clipping count(const std::vector<Clipping>& blocks);

    Problem<T> problem_;
    tasks::ForkSafeMutex mutex_;
    std::unique_ptr<Conditioning<T>> conditioning_;  ///< as soon as there is a factor
    bool is_solved_ = false;
    std::atomic<index_t> clipped_variances_ = 0;
};

}  // namespace gprat::gp
