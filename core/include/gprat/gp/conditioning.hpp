#pragma once

#include <vector>

#include "gprat/gp/problem.hpp"
#include "gprat/linalg/buffer.hpp"
#include "gprat/linalg/tiled_matrix.hpp"

namespace gprat::gp {

/// What the data say: the factor of K = k(X, X) + noise and the solves with the targets
/// (R&W 2006, Alg. 2.1, lines 2, 3 and 7).
///
/// A trend has coefficients with a flat prior, which are integrated out (section 2.7). With
/// L⁻¹H = Q·R the targets are projected: L⁻¹Y loses its part in the span of Q. The columns of Q
/// follow those of the targets through the solves.
template <class T>
struct Conditioning {
    explicit Conditioning(const Problem<T>& problem);

    /// With a factor that is known.
    Conditioning(const Problem<T>& problem, TiledMatrix<T> factor);

    /// (I − QQᵀ)·L⁻¹Y, then Q.
    MatrixView<T> whitened_columns() const { return {whitened.data(), size, outputs + trends}; }
    /// α = P·Y with P = K⁻¹ − UUᵀ, then U = L⁻ᵀQ.
    MatrixView<T> weight_columns() const { return {weights.data(), size, outputs + trends}; }

    MatrixView<T> alpha() const { return weight_columns().block(0, 0, size, outputs); }
    MatrixView<T> trend_weights() const { return weight_columns().block(0, outputs, size, trends); }
    MatrixView<T> trend_basis() const { return whitened_columns().block(0, outputs, size, trends); }
    MatrixView<T> trend_factor() const { return {r.data(), trends, trends}; }
    MatrixView<T> trend_coefficients() const { return {beta.data(), trends, outputs}; }

    double log_determinant() const;
    /// Summed over the outputs, which are independent given the kernel.
    double log_marginal_likelihood() const;

    index_t size;
    index_t outputs;
    index_t trends;
    TiledMatrix<T> factor;                      ///< L
    Buffer<T> whitened;                         ///< n × (outputs + trends)
    Buffer<T> weights;                          ///< n × (outputs + trends)
    Buffer<T> r;                                ///< R
    Buffer<T> beta;                             ///< R⁻¹QᵀL⁻¹Y
    std::vector<double> half_log_determinants;  ///< Σ log L_ii, tile by tile
};

/// Conditioning as a graph's tasks see it. Lives until the graph has run.
template <class T>
struct ConditioningOperands {
    ConditioningOperands(tasks::TaskGraph& graph, const Conditioning<T>& conditioning);

    TiledOperand<T> factor;
    BlockOperand<T> whitened;
    BlockOperand<T> weights;
    tasks::Handle all_weights;  ///< stands for every row of `weights`
};

/// Adds the assembly of K and its factorisation, from the rows at the cut on: those before hold
/// their part of the factor.
template <class T>
void add_factorisation(tasks::TaskGraph& graph, const Problem<T>& problem,
                       const CutOperand<T>& factor);

/// Adds the solves with the factor. A task throws RankDeficient where basis functions depend on
/// each other. What follows takes ranks from `rank_after_conditioning`.
template <class T>
void add_solves(tasks::TaskGraph& graph, const Problem<T>& problem, Conditioning<T>& conditioning,
                const ConditioningOperands<T>& operands);

/// Adds both.
template <class T>
void add_conditioning(tasks::TaskGraph& graph, const Problem<T>& problem,
                      Conditioning<T>& conditioning, const ConditioningOperands<T>& operands);

tasks::Rank rank_after_conditioning(const TileLayout& layout);

}  // namespace gprat::gp
