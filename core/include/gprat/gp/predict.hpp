#pragma once

#include <algorithm>
#include <vector>

#include "gprat/gp/conditioning.hpp"
#include "gprat/gp/problem.hpp"
#include "gprat/linalg/buffer.hpp"
#include "gprat/linalg/column_buffer.hpp"
#include "gprat/tasks/task_graph.hpp"

namespace gprat::gp {

enum class Prediction { mean, variance, covariance };

/// Test points, with the basis functions of the trend there: H*ᵀ, trends × m.
template <class T>
struct TestPoints {
    covariance::Points<T> points;
    MatrixView<const T> basis_t;

    index_t count() const { return points.count; }
    TestPoints tile(const TileLayout& blocks, index_t q) const {
        return {tile_points(points, blocks, q),
                basis_t.block(0, blocks.begin(q), basis_t.rows, blocks.extent(q))};
    }
};

/// Variances that rounding had made negative, and that were set to zero.
struct Clipping {
    index_t count = 0;
    double worst = 0.0;  ///< how far below zero, as a part of the prior variance

    /// The variance that stays. NaN is none that rounding explains.
    double clip(double variance, double prior) {
        if (!(variance < 0.0)) return variance;
        ++count;
        worst = std::max(worst, prior > 0.0 ? -variance / prior : 1.0);
        return 0.0;
    }
};

/// What all blocks of test points have clipped.
Clipping total(const std::vector<Clipping>& blocks);

/// Work of a prediction at m points with the factor at hand; kernel entries count as ten flops.
template <class T>
double prediction_flops(const Problem<T>& problem, index_t m, Prediction prediction);

/// What the trend needs of each test point: nothing where there is none.
template <class T>
struct TrendWorkspace {
    TrendWorkspace(const Problem<T>& problem, index_t m)
        : width(problem.outputs() + problem.trends()),
          projected(problem.trends() > 0 ? m * width : 0),
          g(problem.trends() * m),
          trends(problem.trends()) {}

    /// Where Vᵀ·whitened goes for points from `first` on: the mean itself, if there is no trend.
    T* projected_at(index_t first, T* mean) const {
        return trends > 0 ? projected.data() + first * width : mean;
    }
    MatrixView<T> g_at(index_t first, index_t count) const {
        return {g.data() + first * trends, trends, count};
    }

    index_t width;
    Buffer<T> projected;  ///< m × (outputs + trends), row-major
    Buffer<T> g;          ///< trends × m
    index_t trends;
};

/// Blocks of columns that a graph has use for at a time, or as many as there may be (0: any).
inline index_t column_slots(const tasks::TaskGraph& graph, index_t most) {
    const index_t useful = graph.threads() + 1;
    return most > 0 ? std::min(most, useful) : useful;
}

/// Columns of V = L⁻¹K(X, X*), some blocks of points at a time: a block is dropped when its
/// variances are known, and its memory serves a later one.
template <class T>
struct VarianceWorkspace {
    /// At most `most_slots` blocks; 0: one more than workers.
    VarianceWorkspace(const Problem<T>& problem, index_t m, const tasks::TaskGraph& graph,
                      index_t most_slots);

    TileLayout blocks;              ///< blocks of test points
    index_t slots;                  ///< blocks in memory at a time
    ColumnBuffer<T> v;              ///< slots × block columns
    Buffer<double> explained;       ///< ‖V_j‖² by test point
    std::vector<Clipping> clipped;  ///< by block
    TrendWorkspace<T> trend;

    MatrixView<T> block(index_t q) const {
        return v.columns((q % slots) * blocks.tile_size(), blocks.extent(q));
    }
};

template <class T>
void add_predict_mean(tasks::TaskGraph& graph, const Problem<T>& problem,
                      const Conditioning<T>& conditioning, const ConditioningOperands<T>& operands,
                      TestPoints<T> test, T* mean);

template <class T>
void add_predict_variance(tasks::TaskGraph& graph, const Problem<T>& problem,
                          const Conditioning<T>& conditioning,
                          const ConditioningOperands<T>& operands, TestPoints<T> test, T* mean,
                          T* variance, VarianceWorkspace<T>& workspace);

/// `v` has m columns of n. Sizes `clipped` to one entry a block.
template <class T>
void add_predict_covariance(tasks::TaskGraph& graph, const Problem<T>& problem,
                            const Conditioning<T>& conditioning,
                            const ConditioningOperands<T>& operands, TestPoints<T> test, T* mean,
                            T* covariance, const ColumnBuffer<T>& v, const TrendWorkspace<T>& trend,
                            std::vector<Clipping>& clipped);

/// Adds V := L⁻¹K(X, points) and projected := Vᵀ·[L⁻¹Y Q], which without a trend is K(points, X)·α
/// without waiting for α; then, with a trend, the mean and G.
template <class T>
void add_whitened_block(tasks::TaskGraph& graph, tasks::Rank rank, const Problem<T>& problem,
                        const Conditioning<T>& conditioning,
                        const ConditioningOperands<T>& operands, const TestPoints<T>& test,
                        const BlockOperand<T>& v, const TrendWorkspace<T>& workspace, index_t first,
                        tasks::Handle result, index_t q, T* mean);

}  // namespace gprat::gp
