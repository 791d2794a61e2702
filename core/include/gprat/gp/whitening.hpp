#pragma once

#include "gprat/gp/conditioning.hpp"
#include "gprat/gp/problem.hpp"
#include "gprat/linalg/buffer.hpp"
#include "gprat/tasks/task_graph.hpp"

namespace gprat::gp {

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

/// mean (points × outputs, row-major) += Aᵀ·B, with A (rows × points) and B (rows × outputs).
template <class T>
void add_products(MatrixView<const T> a, MatrixView<const T> b, T* mean);

/// Adds V := L⁻¹K(X, points).
template <class T>
void add_whitening(tasks::TaskGraph& graph, tasks::Rank rank, const Problem<T>& problem,
                   const ConditioningOperands<T>& operands, const TestPoints<T>& test,
                   const BlockOperand<T>& v, index_t q);

/// Adds projected := Vᵀ·[L⁻¹Y Q], which without a trend is K(points, X)·α without waiting for α;
/// then, with a trend, the mean and G. Of the points it needs their number and basis functions.
template <class T>
void add_projection(tasks::TaskGraph& graph, tasks::Rank rank, const Conditioning<T>& conditioning,
                    const ConditioningOperands<T>& operands, const TestPoints<T>& test,
                    const BlockOperand<T>& v, const TrendWorkspace<T>& workspace, index_t first,
                    tasks::Handle result, index_t q, T* mean);

/// Adds W := L⁻ᵀ(V + Q·G) in place of V: the mean is WᵀY. `result` stands for G.
template <class T>
void add_kriging_weights(tasks::TaskGraph& graph, tasks::Rank rank,
                         const ConditioningOperands<T>& operands, const BlockOperand<T>& v,
                         MatrixView<const T> g, tasks::Handle result);

}  // namespace gprat::gp
