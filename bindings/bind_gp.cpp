#include <algorithm>
#include <string>
#include <vector>

#include "arrays.hpp"
#include "bindings.hpp"
#include "gprat/gp/likelihood.hpp"
#include "gprat/gp/posterior.hpp"
#include "interruptible.hpp"

namespace gprat::bindings {

using namespace nb::literals;
using covariance::Points;
using covariance::Program;

namespace {

template <class T>
Points<T> as_points(const MatrixIn<T>& x) {
    return {x.data(), static_cast<index_t>(x.shape(0)), static_cast<index_t>(x.shape(1)), 0};
}

template <class T>
gp::Problem<T> make_problem(const Program& program, const VectorIn<double>& parameters,
                            std::span<const std::uint8_t> is_free, const MatrixIn<T>& x,
                            const MatrixIn<T>& y, const VectorIn<double>& noise,
                            index_t tile_size) {
    if (x.shape(0) != y.shape(0)) throw InvalidArgument("X and Y have different numbers of rows");
    if (noise.size() != 1 && noise.size() != x.shape(0))
        throw InvalidArgument("noise has neither one value nor one a row");
    return {covariance::Kernel<T>(program, {parameters.data(), parameters.size()}, is_free),
            as_points(x),
            {y.data(), static_cast<index_t>(y.shape(1)), static_cast<index_t>(y.shape(0))},
            std::vector<double>(noise.data(), noise.data() + noise.size()),
            tile_size};
}

/// A posterior with the arrays that it reads.
template <class T>
class PosteriorWithData {
public:
    PosteriorWithData(const Program& program, const VectorIn<double>& parameters, MatrixIn<T> x,
                      MatrixIn<T> y, const VectorIn<double>& noise, index_t tile_size)
        : x_(std::move(x)),
          y_(std::move(y)),
          posterior_(make_problem<T>(program, parameters, {}, x_, y_, noise, tile_size)) {}

    nb::object predict_mean(const MatrixIn<T>& points, int threads) {
        const auto m = static_cast<index_t>(points.shape(0));
        Buffer<T> mean(m * outputs());
        run_interruptibly(threads, [&](const auto& options) {
            posterior_.predict_mean(as_points(points), mean.data(), options);
        });
        return to_numpy(std::move(mean), m, outputs(), Order::row_major);
    }

    nb::tuple predict_variance(const MatrixIn<T>& points, int threads) {
        const auto m = static_cast<index_t>(points.shape(0));
        Buffer<T> mean(m * outputs());
        Buffer<T> variance(m);
        run_interruptibly(threads, [&](const auto& options) {
            posterior_.predict_variance(as_points(points), mean.data(), variance.data(), options);
        });
        return nb::make_tuple(to_numpy(std::move(mean), m, outputs(), Order::row_major),
                              to_numpy(std::move(variance), m));
    }

    nb::tuple predict_covariance(const MatrixIn<T>& points, int threads) {
        const auto m = static_cast<index_t>(points.shape(0));
        Buffer<T> mean(m * outputs());
        Buffer<T> covariance(m * m);
        run_interruptibly(threads, [&](const auto& options) {
            posterior_.predict_covariance(as_points(points), mean.data(), covariance.data(),
                                          options);
        });
        return nb::make_tuple(to_numpy(std::move(mean), m, outputs(), Order::row_major),
                              to_numpy(std::move(covariance), m, m, Order::row_major));
    }

    nb::object solve(const MatrixIn<T>& b, int threads) {
        const auto rows = static_cast<index_t>(b.shape(0));
        const auto cols = static_cast<index_t>(b.shape(1));
        if (rows != n()) throw InvalidArgument("B must have one row for each row of X");
        Buffer<T> result(rows * cols);
        const MatrixView<T> columns(result.data(), rows, cols);
        run_interruptibly(threads, [&](const auto& options) {
            for (index_t j = 0; j < cols; ++j)
                for (index_t i = 0; i < rows; ++i) columns(i, j) = b.data()[i * cols + j];
            posterior_.solve(columns, options);
        });
        return to_numpy(std::move(result), rows, cols, Order::column_major);
    }

    nb::object cholesky(int threads) {
        Buffer<T> dense(n() * n());
        run_interruptibly(threads, [&](const auto& options) {
            posterior_.cholesky(MatrixView<T>(dense.data(), n(), n()), options);
        });
        return to_numpy(std::move(dense), n(), n(), Order::column_major);
    }

    nb::object alpha(int threads) {
        const auto weights = conditioning(threads).weights();
        Buffer<T> copy(n() * outputs());
        std::copy_n(weights.data, copy.size(), copy.data());
        return to_numpy(std::move(copy), n(), outputs(), Order::column_major);
    }

    double log_determinant(int threads) { return conditioning(threads).log_determinant(); }
    double log_marginal_likelihood(int threads) {
        return conditioning(threads).log_marginal_likelihood();
    }

private:
    index_t n() const { return posterior_.problem().size(); }
    index_t outputs() const { return posterior_.problem().outputs(); }

    const gp::Conditioning<T>& conditioning(int threads) {
        const gp::Conditioning<T>* result = nullptr;
        run_interruptibly(threads,
                          [&](const auto& options) { result = &posterior_.conditioning(options); });
        return *result;
    }

    MatrixIn<T> x_;
    MatrixIn<T> y_;
    gp::Posterior<T> posterior_;
};

template <class T>
nb::tuple likelihood_gradient(const Program& program, const VectorIn<double>& parameters,
                              const VectorIn<std::uint8_t>& is_free, const MatrixIn<T>& x,
                              const MatrixIn<T>& y, const VectorIn<double>& noise,
                              index_t tile_size, int threads) {
    const auto problem = make_problem<T>(program, parameters, {is_free.data(), is_free.size()}, x,
                                         y, noise, tile_size);
    gp::LikelihoodGradient result{};
    run_interruptibly(threads, [&](const auto& options) {
        result = gp::log_marginal_likelihood_gradient(problem, options);
    });
    Buffer<double> gradient(static_cast<index_t>(result.gradient.size()));
    std::copy(result.gradient.begin(), result.gradient.end(), gradient.data());
    const index_t size = gradient.size();
    return nb::make_tuple(result.value, to_numpy(std::move(gradient), size), result.noise_gradient);
}

template <class T>
void bind_for(nb::module_& module, const std::string& type) {
    using Posterior = PosteriorWithData<T>;
    nb::class_<Posterior>(module, ("Posterior" + type).c_str())
        .def(nb::init<const Program&, const VectorIn<double>&, MatrixIn<T>, MatrixIn<T>,
                      const VectorIn<double>&, index_t>(),
             "program"_a, "parameters"_a, "X"_a.noconvert(), "Y"_a.noconvert(), "noise"_a,
             "tile_size"_a)
        .def("predict_mean", &Posterior::predict_mean, "Xs"_a.noconvert(), "threads"_a = 0)
        .def("predict_variance", &Posterior::predict_variance, "Xs"_a.noconvert(), "threads"_a = 0)
        .def("predict_covariance", &Posterior::predict_covariance, "Xs"_a.noconvert(),
             "threads"_a = 0)
        .def("solve", &Posterior::solve, "B"_a.noconvert(), "threads"_a = 0)
        .def("cholesky", &Posterior::cholesky, "threads"_a = 0)
        .def("alpha", &Posterior::alpha, "threads"_a = 0)
        .def("log_determinant", &Posterior::log_determinant, "threads"_a = 0)
        .def("log_marginal_likelihood", &Posterior::log_marginal_likelihood, "threads"_a = 0);
}

}  // namespace

void bind_gp(nb::module_& module) {
    bind_for<double>(module, "Float64");
    bind_for<float>(module, "Float32");
    module.def("log_marginal_likelihood_gradient_float64", &likelihood_gradient<double>,
               "program"_a, "parameters"_a, "is_free"_a, "X"_a.noconvert(), "Y"_a.noconvert(),
               "noise"_a, "tile_size"_a, "threads"_a);
    module.def("log_marginal_likelihood_gradient_float32", &likelihood_gradient<float>, "program"_a,
               "parameters"_a, "is_free"_a, "X"_a.noconvert(), "Y"_a.noconvert(), "noise"_a,
               "tile_size"_a, "threads"_a);
}

}  // namespace gprat::bindings
