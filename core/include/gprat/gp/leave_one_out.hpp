#pragma once

#include "gprat/gp/conditioning.hpp"
#include "gprat/gp/problem.hpp"
#include "gprat/linalg/column_buffer.hpp"
#include "gprat/tasks/task_graph.hpp"

namespace gprat::gp {

/// The leave-one-out log predictive density and its adjoint at K (R&W 2006, eqs. 5.10 to 5.13).
///
/// With S = K⁻¹, P = S − UUᵀ, s = diag(P), b = α/s, v = P·b and c = ½(outputs + Σ α²/s)/s:
/// W = −P·diag(c)·P + ½ Σ (αvᵀ + vαᵀ), the sums over the outputs. What the trend adds to
/// S·diag(c)·S has low rank, as have the other terms: W = A·Bᵀ − S·diag(c)·S.
template <class T>
class LeaveOneOut {
public:
    LeaveOneOut(const Problem<T>& problem, const Conditioning<T>& conditioning)
        : problem_(problem), conditioning_(conditioning) {}

    /// Called once the factor has been overwritten with S.
    void allocate();
    void compute_coefficients();
    void multiply_row(index_t tile_row);
    void finish();
    void mirror_diagonal(index_t tile) const;

    /// tile := factor · W_ij
    void make_adjoint(index_t i, index_t j, T factor, MatrixView<T> tile) const;

    double value() const { return value_; }
    /// v, which is the negative of the adjoint at Y.
    MatrixView<const T> targets_adjoint() const { return v(); }

private:
    index_t rank() const { return 2 * (conditioning_.trends + conditioning_.outputs); }
    MatrixView<T> b() const { return {columns_.data(), conditioning_.size, conditioning_.outputs}; }
    MatrixView<T> v() const {
        return {products_.data(), conditioning_.size, conditioning_.outputs};
    }

    const Problem<T>& problem_;
    const Conditioning<T>& conditioning_;
    Buffer<T> c_;         ///< n
    Buffer<T> columns_;   ///< n × (outputs + trends): b, diag(c)·U
    Buffer<T> products_;  ///< n × (outputs + trends): S times these, then v and Z
    Buffer<T> left_;      ///< A, n × rank
    Buffer<T> right_;     ///< B, n × rank
    double value_ = 0.0;
};

/// Adds what the adjoint needs, after the inverse. The handle is written when all is ready.
template <class T>
tasks::Handle add_leave_one_out(tasks::TaskGraph& graph, tasks::Rank rank, LeaveOneOut<T>& loo,
                                const ConditioningOperands<T>& operands);

/// Overwrites `diagonal` with that of P, from the factor: columns of L⁻¹ in blocks, as wide as
/// those of `v`, a block for each slot.
template <class T>
void add_inverse_diagonal(tasks::TaskGraph& graph, const Problem<T>& problem,
                          const Conditioning<T>& conditioning,
                          const ConditioningOperands<T>& operands, const ColumnBuffer<T>& v,
                          index_t slots, T* diagonal);

}  // namespace gprat::gp
