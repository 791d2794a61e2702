#pragma once

#include <vector>

#include "gprat/gp/problem.hpp"
#include "gprat/tasks/task_graph.hpp"

namespace gprat::gp {

struct LikelihoodGradient {
    double value;                  ///< log p(Y | X), summed over the outputs
    std::vector<double> gradient;  ///< by the logarithm of each kernel parameter; 0 where fixed
    double noise_gradient;         ///< by the logarithm of a common factor of the noise
};

/// Log marginal likelihood and its gradient, in one graph and in the memory of one lower triangle
/// (R&W 2006, eq. 5.9).
template <class T>
LikelihoodGradient log_marginal_likelihood_gradient(const Problem<T>& problem,
                                                    const tasks::RunOptions& options);

}  // namespace gprat::gp
