#pragma once

#include <vector>

#include "gprat/gp/problem.hpp"
#include "gprat/linalg/buffer.hpp"
#include "gprat/linalg/tiled_matrix.hpp"

namespace gprat::gp {

/// What the data say: the factor of K = k(X, X) + noise and the solves with the targets
/// (R&W 2006, Alg. 2.1, lines 2, 3 and 7).
template <class T>
struct Conditioning {
    explicit Conditioning(const Problem<T>& problem);

    MatrixView<T> whitened_targets() const { return {whitened.data(), size, outputs}; }
    MatrixView<T> weights() const { return {alpha.data(), size, outputs}; }

    double log_determinant() const;
    /// Summed over the outputs, which are independent given the kernel.
    double log_marginal_likelihood() const;

    index_t size;
    index_t outputs;
    TiledMatrix<T> factor;                      ///< L
    Buffer<T> whitened;                         ///< L⁻¹·Y
    Buffer<T> alpha;                            ///< K⁻¹·Y
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

/// Adds assembly, factorisation and solves. What follows takes ranks from `rank_after`.
template <class T>
void add_conditioning(tasks::TaskGraph& graph, const Problem<T>& problem,
                      Conditioning<T>& conditioning, const ConditioningOperands<T>& operands);

tasks::Rank rank_after_conditioning(const TileLayout& layout);

}  // namespace gprat::gp
