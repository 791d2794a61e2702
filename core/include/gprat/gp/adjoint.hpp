#pragma once

#include <vector>

#include "gprat/gp/problem.hpp"
#include "gprat/linalg/buffer.hpp"
#include "gprat/tasks/task_graph.hpp"

namespace gprat::gp {

/// What is differentiated, summed over the outputs: log p(Y | X) (R&W 2006, eq. 2.30; with a trend
/// 2.45), or the sum over rows of log p(y_i | X, other rows) (eqs. 5.10 to 5.13).
enum class Objective { marginal_likelihood = 0, leave_one_out = 1 };

/// Whether derivatives by the inputs and by the basis functions are wanted.
enum class Inputs { fixed, differentiated };

/// An objective and its derivatives. Matrices are row-major, one row a training point.
struct Adjoint {
    double value = 0.0;
    std::vector<double> parameters;  ///< by each kernel parameter, as GradientSink has them
    Buffer<double> noise;            ///< n: by the noise variance of each row
    Buffer<double> targets;          ///< n × outputs
    Buffer<double> inputs;           ///< n × dimension, through the kernel; empty if not wanted
    Buffer<double> basis;            ///< n × trends; empty if not wanted
};

/// Reverse mode by tiles, in the memory of one lower triangle: the adjoint of the objective at K is
/// made tile by tile from K⁻¹ and contracted with the kernel's derivatives (R&W eqs. 5.9, 5.13).
/// Derivatives by the inputs exist for the marginal likelihood only.
template <class T>
Adjoint differentiate(const Problem<T>& problem, Objective objective, Inputs inputs,
                      const tasks::RunOptions& options);

}  // namespace gprat::gp
