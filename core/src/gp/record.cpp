#include "gprat/gp/record.hpp"

#include "gprat/gp/adjoint.hpp"
#include "gprat/gp/posterior.hpp"
#include "gprat/linalg/buffer.hpp"

namespace gprat::gp {

namespace {

/// A covariance function of which nothing is known but how many parameters it has.
template <class T>
class UnknownCovariance final : public covariance::Covariance<T> {
public:
    explicit UnknownCovariance(index_t parameters) : parameters_(parameters) {}

    index_t parameter_count() const override { return parameters_; }
    void evaluate(covariance::Points<T>, covariance::Points<T>, covariance::Pairing,
                  covariance::Region, MatrixView<T>) const override {}
    void diagonal(covariance::Points<T>, T*) const override {}
    void accumulate_gradient(covariance::Points<T>, covariance::Points<T>, covariance::Pairing,
                             covariance::Region, MatrixView<const T>,
                             const covariance::GradientSink<T>&) const override {}

private:
    index_t parameters_;
};

}  // namespace

template <class T>
void record(Operation operation, const Sizes& sizes, tasks::Recording& recording) {
    const AddressesOnly no_memory;
    const UnknownCovariance<T> covariance(sizes.parameters);
    const index_t n = sizes.training_points, m = sizes.test_points;
    const Problem<T> problem{covariance,
                             {nullptr, n, sizes.dimension, 0},
                             {nullptr, sizes.outputs, n},
                             {nullptr, 0, n},
                             {0.0},
                             sizes.tile_size};
    tasks::RunOptions options;
    options.recording = &recording;
    if (operation == Operation::fit) {
        differentiate<T>(problem, Objective::marginal_likelihood, Inputs::fixed, options);
        return;
    }
    const TestPoints<T> test{{nullptr, m, sizes.dimension, 0}, {nullptr, 0, m}};
    Posterior<T> posterior(problem);
    const Buffer<T> mean(m * sizes.outputs);
    if (operation == Operation::predict) {
        posterior.predict_mean(test, mean.data(), options);
    } else if (operation == Operation::variance) {
        const Buffer<T> variance(m);
        posterior.predict_variance(test, mean.data(), variance.data(), options);
    } else {
        const Buffer<T> joint(m * m);
        posterior.predict_covariance(test, mean.data(), joint.data(), options);
    }
}

template void record<float>(Operation, const Sizes&, tasks::Recording&);
template void record<double>(Operation, const Sizes&, tasks::Recording&);

}  // namespace gprat::gp
