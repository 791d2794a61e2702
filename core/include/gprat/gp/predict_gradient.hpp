#pragma once

#include "gprat/gp/predict.hpp"

namespace gprat::gp {

/// Derivatives of predictions by the test points, through the kernel: of K(X*, X)·α, m × outputs ×
/// dimension; of the variance, m × dimension; and of the variance by the basis functions, m ×
/// trends.
struct PredictionGradient {
    Buffer<double> mean;
    Buffer<double> variance;
    Buffer<double> basis;
};

/// `mean`, m × outputs, is overwritten with the mean.
template <class T>
void add_predict_gradient(tasks::TaskGraph& graph, const Problem<T>& problem,
                          const Conditioning<T>& conditioning,
                          const ConditioningOperands<T>& operands, TestPoints<T> test,
                          const PredictionGradient& gradient, const Buffer<T>& mean,
                          const VarianceWorkspace<T>& workspace);

}  // namespace gprat::gp
