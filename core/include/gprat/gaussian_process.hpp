#pragma once

#include <iterator>
#include <memory>
#include <span>
#include <vector>

#include "gprat/covariance/kernel.hpp"
#include "gprat/gp/posterior.hpp"
#include "gprat/kernels.hpp"
#include "gprat/types.hpp"

namespace gprat {

/// n × d, row-major, with finite entries; not owned.
template <class T>
using Points = covariance::Points<T>;

struct Options {
    index_t tile_size = 0;  ///< 0: chosen from n and the processors; results depend on it in the
                            ///< last bits
    int threads = 0;        ///< at most; 0: all workers of the runtime. Results don't depend on it
};

/// The log marginal likelihood, summed over the outputs, and its gradient by theta.
struct LikelihoodGradient {
    double value = 0.0;
    std::vector<double> gradient;
};

template <class T>
struct MeanAndVariance {
    std::vector<T> mean;      ///< m × outputs, row-major
    std::vector<T> variance;  ///< m: of the latent function, without noise
};

template <class T>
struct MeanAndCovariance {
    std::vector<T> mean;        ///< m × outputs, row-major
    std::vector<T> covariance;  ///< m × m, of the latent function
};

/// An exact Gaussian process with mean zero and noise of one variance: R&W 2006, chapter 2. T is
/// double or float.
///
/// The factor of the covariance matrix is computed when first needed, and kept until theta changes.
/// Functions throw NotPositiveDefinite where there is none. Const functions and predictions may be
/// called from several threads at the same time, `set_theta` may not.
template <class T>
class GaussianProcess {
public:
    /// Keeps references to inputs and targets, not copies: both must outlive it. Targets are
    /// n × outputs, row-major; outputs are independent given the kernel. Throws InvalidArgument
    /// where sizes don't fit, values aren't finite or the noise variance is not positive.
    GaussianProcess(Points<T> inputs, std::span<const T> targets, kernels::Expression kernel,
                    double noise_variance, Options options = {});

    const kernels::Expression& kernel() const { return kernel_; }
    double noise_variance() const { return noise_variance_; }
    index_t tile_size() const { return options_.tile_size; }

    /// The kernel's theta, then the logarithm of the noise variance.
    std::vector<double> theta() const;
    void set_theta(std::span<const double> theta);

    /// log p(Y | X, theta) (eq. 2.30).
    double log_marginal_likelihood();

    /// The same with its gradient (eq. 5.9), in the memory of one lower triangle.
    LikelihoodGradient differentiate() const;

    /// Eqs. 2.25 and 2.26.
    std::vector<T> predict_mean(Points<T> test);
    MeanAndVariance<T> predict_variance(Points<T> test);
    MeanAndCovariance<T> predict_covariance(Points<T> test);

    /// Everything else that the core computes from the factor.
    gp::Posterior<T>& posterior() { return *posterior_; }

private:
    /// Takes these hyperparameters, or throws InvalidArgument.
    void compile(kernels::Expression kernel, double noise_variance);
    index_t outputs() const { return std::ssize(targets_) / inputs_.count; }
    gp::Problem<T> problem() const;
    gp::TestPoints<T> test_points(Points<T> test) const;
    tasks::RunOptions run_options() const { return {options_.threads}; }

    Points<T> inputs_;
    std::span<const T> targets_;
    kernels::Expression kernel_;
    double noise_variance_ = 0.0;
    Options options_;
    std::unique_ptr<covariance::Kernel<T>> covariance_;
    std::unique_ptr<gp::Posterior<T>> posterior_;
};

extern template class GaussianProcess<double>;
extern template class GaussianProcess<float>;

}  // namespace gprat
