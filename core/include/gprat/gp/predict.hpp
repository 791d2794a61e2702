#pragma once

#include "gprat/gp/conditioning.hpp"
#include "gprat/gp/problem.hpp"
#include "gprat/linalg/buffer.hpp"
#include "gprat/tasks/task_graph.hpp"

namespace gprat::gp {

enum class Prediction { mean, variance, covariance };

/// Work of a prediction at m points with the factor at hand; kernel entries count as ten flops.
template <class T>
double prediction_flops(const Problem<T>& problem, index_t m, Prediction prediction);

/// Columns of V = L⁻¹K(X, X*), some blocks of points at a time: a block is dropped when its
/// variances are known, and its memory serves a later one.
template <class T>
struct VarianceWorkspace {
    VarianceWorkspace(const Problem<T>& problem, index_t m, int threads);

    index_t n;
    TileLayout blocks;         ///< blocks of test points
    index_t slots;             ///< blocks in memory at a time
    Buffer<T> v;               ///< slots × n × block
    Buffer<double> explained;  ///< ‖V_j‖² by test point

    MatrixView<T> block(index_t q) const {
        return {v.data() + (q % slots) * n * blocks.tile_size(), n, blocks.extent(q)};
    }
};

template <class T>
void add_predict_mean(tasks::TaskGraph& graph, const Problem<T>& problem,
                      const ConditioningOperands<T>& operands, covariance::Points<T> points,
                      T* mean);

template <class T>
void add_predict_variance(tasks::TaskGraph& graph, const Problem<T>& problem,
                          const ConditioningOperands<T>& operands, covariance::Points<T> points,
                          T* mean, T* variance, const VarianceWorkspace<T>& workspace);

/// `v` has n × m entries.
template <class T>
void add_predict_covariance(tasks::TaskGraph& graph, const Problem<T>& problem,
                            const ConditioningOperands<T>& operands, covariance::Points<T> points,
                            T* mean, T* covariance, const Buffer<T>& v);

}  // namespace gprat::gp
