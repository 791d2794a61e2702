#include "gprat/gaussian_process.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "gprat/error.hpp"
#include "gprat/gp/adjoint.hpp"
#include "gprat/gp/tile_size.hpp"
#include "gprat/tasks/runtime.hpp"

namespace gprat {

namespace {

template <class T>
void check_finite(std::span<const T> values, const char* what) {
    const auto found = std::ranges::find_if(values, [](T value) { return !std::isfinite(value); });
    if (found != values.end())
        throw InvalidArgument(std::string(what) + " must be finite; number " +
                              std::to_string(found - values.begin()) + " (from 0) is not");
}

template <class T>
void check_points(const Points<T>& points, const char* what) {
    if (points.count < 1 || points.dimension < 1)
        throw InvalidArgument(std::string(what) + " must be at least one point of one feature");
    check_finite<T>({points.data, static_cast<std::size_t>(points.count * points.dimension)}, what);
}

void check_noise(double variance) {
    if (!(variance > 0.0 && std::isfinite(variance)))
        throw InvalidArgument("the noise variance must be positive and finite, got " +
                              std::to_string(variance));
}

}  // namespace

template <class T>
GaussianProcess<T>::GaussianProcess(Points<T> inputs, std::span<const T> targets,
                                    kernels::Expression kernel, double noise_variance,
                                    Options options)
    : inputs_(inputs), targets_(targets), options_(options) {
    check_points(inputs, "inputs");
    if (targets.empty() || std::ssize(targets) % inputs.count != 0)
        throw InvalidArgument(
            "targets must be n × outputs numbers with n = " + std::to_string(inputs.count) +
            ", got " + std::to_string(targets.size()));
    check_finite(targets, "targets");
    if (options.tile_size < 0 || options.threads < 0)
        throw InvalidArgument("tile_size and threads must not be negative");
    if (options_.tile_size == 0)
        options_.tile_size =
            gp::automatic_tile_size(inputs.count, tasks::Runtime::default_threads());
    options_.tile_size = std::min(options_.tile_size, inputs.count);
    compile(std::move(kernel), noise_variance);
}

template <class T>
void GaussianProcess<T>::compile(kernels::Expression kernel, double noise_variance) {
    check_noise(noise_variance);
    // Values that are refused, such as a length scale that overflows, leave the model as it is.
    auto covariance = std::make_unique<covariance::Kernel<T>>(
        kernel.program(inputs_.dimension), kernel.parameters(), kernel.is_free());
    kernel_ = std::move(kernel);
    noise_variance_ = noise_variance;
    // The old posterior refers to the old kernel.
    posterior_.reset();
    covariance_ = std::move(covariance);
    posterior_ = std::make_unique<gp::Posterior<T>>(problem());
}

template <class T>
gp::Problem<T> GaussianProcess<T>::problem() const {
    const index_t n = inputs_.count;
    return {*covariance_,    inputs_,           {targets_.data(), outputs(), n},
            {nullptr, 0, n}, {noise_variance_}, options_.tile_size};
}

template <class T>
std::vector<double> GaussianProcess<T>::theta() const {
    auto theta = kernel_.theta();
    theta.push_back(std::log(noise_variance_));
    return theta;
}

template <class T>
void GaussianProcess<T>::set_theta(std::span<const double> theta) {
    if (theta.empty()) throw InvalidArgument("theta is empty");
    compile(kernel_.with_theta(theta.first(theta.size() - 1)), std::exp(theta.back()));
}

template <class T>
double GaussianProcess<T>::log_marginal_likelihood() {
    return posterior_->conditioning(run_options()).log_marginal_likelihood();
}

template <class T>
LikelihoodGradient GaussianProcess<T>::differentiate() const {
    const auto adjoint = gp::differentiate(problem(), gp::Objective::marginal_likelihood,
                                           gp::Inputs::fixed, run_options());
    LikelihoodGradient result{adjoint.value, {}};
    for (std::size_t i = 0; i < adjoint.parameters.size(); ++i)
        if (kernel_.is_free()[i]) result.gradient.push_back(adjoint.parameters[i]);
    double by_noise = 0.0;
    for (index_t i = 0; i < inputs_.count; ++i) by_noise += adjoint.noise[i];
    result.gradient.push_back(noise_variance_ * by_noise);
    return result;
}

template <class T>
gp::TestPoints<T> GaussianProcess<T>::test_points(Points<T> test) const {
    check_points(test, "test points");
    if (test.dimension != inputs_.dimension)
        throw InvalidArgument("test points must have " + std::to_string(inputs_.dimension) +
                              " features, got " + std::to_string(test.dimension));
    return {test, {nullptr, 0, test.count}};
}

template <class T>
std::vector<T> GaussianProcess<T>::predict_mean(Points<T> test) {
    const auto points = test_points(test);
    std::vector<T> mean(test.count * outputs());
    posterior_->predict_mean(points, mean.data(), run_options());
    return mean;
}

template <class T>
MeanAndVariance<T> GaussianProcess<T>::predict_variance(Points<T> test) {
    const auto points = test_points(test);
    MeanAndVariance<T> result{std::vector<T>(test.count * outputs()), std::vector<T>(test.count)};
    posterior_->predict_variance(points, result.mean.data(), result.variance.data(), run_options());
    return result;
}

template <class T>
MeanAndCovariance<T> GaussianProcess<T>::predict_covariance(Points<T> test) {
    const auto points = test_points(test);
    MeanAndCovariance<T> result{std::vector<T>(test.count * outputs()),
                                std::vector<T>(test.count * test.count)};
    posterior_->predict_covariance(points, result.mean.data(), result.covariance.data(),
                                   run_options());
    return result;
}

template class GaussianProcess<double>;
template class GaussianProcess<float>;

}  // namespace gprat
