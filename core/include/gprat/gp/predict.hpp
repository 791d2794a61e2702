#pragma once

#include <algorithm>
#include <vector>

#include "gprat/gp/conditioning.hpp"
#include "gprat/gp/problem.hpp"
#include "gprat/gp/whitening.hpp"
#include "gprat/linalg/buffer.hpp"
#include "gprat/linalg/column_buffer.hpp"
#include "gprat/tasks/task_graph.hpp"

namespace gprat::gp {

enum class Prediction { mean, variance, covariance };

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

/// Columns of V that one task updates.
index_t columns_per_block(index_t test_points, int processors);

/// The same, of whole groups of test points: at least one.
inline index_t columns_in_groups(index_t columns, index_t group) {
    return (columns + group - 1) / group * group;
}

/// Blocks of columns that a graph has use for at a time, or as many as there may be (0: any).
inline index_t column_slots(const tasks::TaskGraph& graph, index_t most) {
    const index_t useful = graph.threads() + 1;
    return most > 0 ? std::min(most, useful) : useful;
}

/// Columns of V = L⁻¹K(X, X*), some blocks of whole groups of points at a time: a block is dropped
/// when its covariances are known, and its memory serves a later one; with enough slots, none is.
template <class T>
struct VarianceWorkspace {
    VarianceWorkspace(const Problem<T>& problem, index_t m, index_t group,
                      const tasks::TaskGraph& graph, index_t most_slots);

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

/// Means, and joint covariances of so many consecutive points each, which are variances for 1.
template <class T>
void add_predict_groups(tasks::TaskGraph& graph, const Problem<T>& problem,
                        const Conditioning<T>& conditioning,
                        const ConditioningOperands<T>& operands, TestPoints<T> test, index_t group,
                        T* mean, T* covariance, VarianceWorkspace<T>& workspace);

/// `v` has m columns of n. Sizes `clipped` to one entry a block.
template <class T>
void add_predict_covariance(tasks::TaskGraph& graph, const Problem<T>& problem,
                            const Conditioning<T>& conditioning,
                            const ConditioningOperands<T>& operands, TestPoints<T> test, T* mean,
                            T* covariance, const ColumnBuffer<T>& v, const TrendWorkspace<T>& trend,
                            std::vector<Clipping>& clipped);

}  // namespace gprat::gp
