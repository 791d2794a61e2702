#pragma once

#include <algorithm>
#include <vector>

#include "gprat/gp/conditioning.hpp"
#include "gprat/gp/contraction.hpp"
#include "gprat/gp/cotangents.hpp"
#include "gprat/gp/predict.hpp"
#include "gprat/linalg/buffer.hpp"
#include "gprat/linalg/column_buffer.hpp"
#include "gprat/tasks/task_graph.hpp"

namespace gprat::gp {

/// What derivatives of a function of predictions are by: any sum of these.
enum class Derivatives : unsigned {
    none = 0,
    parameters = 1,
    noise = 2,
    targets = 4,
    inputs = 8,       ///< and the basis functions at the training points
    test_inputs = 16  ///< and the basis functions at the test points
};

constexpr Derivatives operator|(Derivatives a, Derivatives b) {
    return static_cast<Derivatives>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}

inline constexpr auto kOverTraining =
    Derivatives::parameters | Derivatives::noise | Derivatives::targets | Derivatives::inputs;
/// Those that go through K.
inline constexpr auto kOverFactor =
    Derivatives::parameters | Derivatives::noise | Derivatives::inputs;

/// Derivatives of a function of predictions, row-major; empty where they are not wanted.
struct PosteriorAdjoint {
    std::vector<double> parameters;  ///< by each kernel parameter, as GradientSink has them
    Buffer<double> noise;            ///< n: by the noise variance of each row
    Buffer<double> targets;          ///< n × outputs
    Buffer<double> inputs;           ///< n × dimension, through the kernel
    Buffer<double> basis;            ///< n × trends
    Buffer<double> test_inputs;      ///< m × dimension, through the kernel
    Buffer<double> test_basis;       ///< m × trends
};

/// Reverse mode of the posterior, by tiles. With the kriging weights W and Λ, which solve
/// [K H; Hᵀ 0][W; Λ] = [K*; H*ᵀ], the mean is WᵀY and the covariance C, stationary in W, is
/// K** − WᵀK* − K*ᵀW + WᵀKW. Cotangents m̄ and C̄ give, with B = W·m̄, the adjoints
///
///     by Y    B                                  by K*   αm̄ᵀ − 2WC̄
///     by K    WC̄Wᵀ − ½(αBᵀ + Bαᵀ)                by K**  C̄
///     by H    −α(Λm̄)ᵀ − Bβᵀ + 2WC̄Λᵀ              by H*   m̄βᵀ − 2C̄Λᵀ
///
/// That at K has low rank: its tiles are made one by one from [WC̄ −½α −½B]·[W B α]ᵀ, contracted
/// with the kernel's derivatives, and dropped. Both factors are kept, n × (m + 2·outputs), where
/// derivatives by inputs, parameters or noise are wanted; else blocks of columns of W, unless a
/// group is wider than a block. Without C̄ nothing has m columns.
template <class T>
class PullBack {
public:
    /// `kept` is V = L⁻¹K*, if it is known; else null.
    PullBack(const Problem<T>& problem, const Conditioning<T>& conditioning, TestPoints<T> test,
             Cotangents<T> cotangents, Derivatives wanted, const ColumnBuffer<T>* kept,
             tasks::TaskGraph& graph, index_t most_slots);

    /// Adds all tasks.
    void add(tasks::TaskGraph& graph, const ConditioningOperands<T>& operands);

    /// When the graph has run.
    PosteriorAdjoint finish();

private:
    /// Columns of the factors of the adjoint at K: in one of them W, B, α, in the other WC̄, −½α,
    /// −½B.
    struct Columns {
        index_t weights;  ///< of W: as many as are in memory at a time
        index_t outputs;  ///< of B and α; 0 where they are not needed
        index_t count() const { return weights + 2 * outputs; }
    };

    bool wants(Derivatives any) const {
        return (static_cast<unsigned>(wanted_) & static_cast<unsigned>(any)) != 0;
    }
    Columns columns() const {
        return {cotangents_.has_covariance() ? std::min(points(), slots_ * blocks_.tile_size()) : 0,
                wants(kOverTraining) ? problem_.outputs() : 0};
    }
    index_t points() const { return test_.count(); }
    /// Of one of the factors, tile row i.
    MatrixView<T> rows(const ColumnBuffer<T>& factor, index_t i, index_t first,
                       index_t count) const {
        return factor.columns(first, count).block(layout_.begin(i), 0, layout_.extent(i), count);
    }
    BlockOperand<T> weights_operand(index_t q) const {
        const index_t slot = q % slots_;
        return {right_.columns(slot * blocks_.tile_size(), blocks_.extent(q)), layout_,
                weights_ + slot * layout_.tiles()};
    }

    void add_weights(tasks::TaskGraph& graph, const ConditioningOperands<T>& operands, index_t q);
    void add_mean_weights(tasks::TaskGraph& graph, const ConditioningOperands<T>& operands);
    void add_products(tasks::TaskGraph& graph, const ConditioningOperands<T>& operands, index_t q);
    void add_prior(tasks::TaskGraph& graph, index_t q);
    void add_training(tasks::TaskGraph& graph, const ConditioningOperands<T>& operands);

    /// Blocks of columns that meet the groups of block q.
    TileRange blocks_of_groups(index_t q) const;
    void project_cotangent(index_t i);
    void multiply(index_t i, index_t q);
    void multiply_by_cotangent(index_t i, index_t q, MatrixView<T> out) const;
    void contract_prior(index_t p, index_t q);
    void finish_row(index_t i);
    void contract_training(index_t i, index_t j, index_t part);
    void differentiate_trend();

    const Problem<T>& problem_;
    const Conditioning<T>& conditioning_;
    TestPoints<T> test_;
    Cotangents<T> cotangents_;
    Derivatives wanted_;
    const ColumnBuffer<T>* kept_;
    TileLayout layout_;  ///< of training points
    TileLayout blocks_;  ///< of test points
    index_t slots_;      ///< blocks of W in memory at a time
    ColumnBuffer<T> right_, left_;
    TrendWorkspace<T> trend_;  ///< G, of the columns that are solved for
    Buffer<T> mean_;           ///< which the projection of V gives on the side
    Buffer<T> mean_basis_;     ///< H*ᵀm̄
    PartialGradients parameters_;
    PosteriorAdjoint result_;

    tasks::Handle weights_ = 0;  ///< tile rows of W, slot by slot
    tasks::Handle rows_ = 0;     ///< tile rows of both factors but for W
    tasks::Handle inputs_ = 0;   ///< tile rows of the derivatives by the inputs
    tasks::Handle points_ = 0;   ///< blocks of test points: their derivatives, G, their part
};

}  // namespace gprat::gp
