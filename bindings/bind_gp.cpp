#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "bindings.hpp"
#include "gprat/gp/adjoint.hpp"
#include "gprat/gp/matrix_covariance.hpp"
#include "gprat/gp/posterior.hpp"
#include "interruptible.hpp"

namespace gprat::bindings {

using namespace nb::literals;
using covariance::Covariance;
using covariance::Points;

namespace {

template <class T>
index_t rows_of(const MatrixIn<T>& x) {
    return static_cast<index_t>(x.shape(0));
}

template <class T>
index_t columns_of(const MatrixIn<T>& x) {
    return static_cast<index_t>(x.shape(1));
}

template <class T>
Points<T> as_points(const MatrixIn<T>& x) {
    return {x.data(), rows_of(x), columns_of(x), 0};
}

/// A row-major array is the transpose of a column-major view.
template <class T>
MatrixView<const T> transposed(const MatrixIn<T>& x) {
    return {x.data(), columns_of(x), rows_of(x)};
}

std::vector<double> make_noise(const VectorIn<double>& noise, index_t n) {
    if (noise.size() != 1 && static_cast<index_t>(noise.size()) != n)
        throw InvalidArgument("noise has neither one value nor one a row");
    return {noise.data(), noise.data() + noise.size()};
}

template <class T>
gp::Problem<T> make_problem(const Covariance<T>& covariance, const MatrixIn<T>& x,
                            const MatrixIn<T>& y, const MatrixIn<T>& basis,
                            const VectorIn<double>& noise, index_t tile_size) {
    if (rows_of(x) != rows_of(y) || rows_of(x) != rows_of(basis))
        throw InvalidArgument("X, Y and basis have different numbers of rows");
    return {
        covariance, as_points(x), transposed(y), transposed(basis), make_noise(noise, rows_of(x)),
        tile_size};
}

/// The columns of a row-major array, in place of which a result comes.
template <class T>
Buffer<T> copy_columns(const MatrixIn<T>& b) {
    const index_t rows = rows_of(b), cols = columns_of(b);
    Buffer<T> columns(rows * cols);
    for (index_t j = 0; j < cols; ++j)
        for (index_t i = 0; i < rows; ++i) columns[i + j * rows] = b.data()[i * cols + j];
    return columns;
}

/// Calls `work(columns, options)` on a copy of the columns of B, and returns it.
template <class T, class Work>
nb::object overwrite_columns(const MatrixIn<T>& b, index_t n, int threads, Work&& work) {
    if (rows_of(b) != n) throw InvalidArgument("B must have one row for each row of X");
    auto result = copy_columns(b);
    const MatrixView<T> columns(result.data(), rows_of(b), columns_of(b));
    run_interruptibly(threads, [&](const auto& options) { work(columns, options); });
    return to_numpy(std::move(result), rows_of(b), columns_of(b), Order::column_major);
}

template <class T>
nb::object copy_to_numpy(MatrixView<T> view) {
    Buffer<T> copy(view.rows * view.cols);
    for (index_t j = 0; j < view.cols; ++j)
        std::copy_n(view.column(j), view.rows, copy.data() + j * view.rows);
    return to_numpy(std::move(copy), view.rows, view.cols, Order::column_major);
}

/// A posterior with the arrays that it reads.
template <class T>
class PosteriorWithData {
public:
    PosteriorWithData(const Covariance<T>& covariance, MatrixIn<T> x, MatrixIn<T> y,
                      MatrixIn<T> basis, const VectorIn<double>& noise, index_t tile_size)
        : x_(std::move(x)),
          y_(std::move(y)),
          basis_(std::move(basis)),
          posterior_(make_problem<T>(covariance, x_, y_, basis_, noise, tile_size)) {}

    nb::object predict_mean(const MatrixIn<T>& x, const MatrixIn<T>& basis, int threads) {
        const auto test = test_points(x, basis);
        Buffer<T> mean(test.count() * outputs());
        run_interruptibly(threads, [&](const auto& options) {
            posterior_.predict_mean(test, mean.data(), options);
        });
        return to_numpy(std::move(mean), test.count(), outputs(), Order::row_major);
    }

    nb::tuple predict_variance(const MatrixIn<T>& x, const MatrixIn<T>& basis, int threads) {
        const auto test = test_points(x, basis);
        const index_t m = test.count();
        Buffer<T> mean(m * outputs());
        Buffer<T> variance(m);
        run_interruptibly(threads, [&](const auto& options) {
            posterior_.predict_variance(test, mean.data(), variance.data(), options);
        });
        return nb::make_tuple(to_numpy(std::move(mean), m, outputs(), Order::row_major),
                              to_numpy(std::move(variance), m));
    }

    nb::tuple predict_covariance(const MatrixIn<T>& x, const MatrixIn<T>& basis, int threads) {
        const auto test = test_points(x, basis);
        const index_t m = test.count();
        Buffer<T> mean(m * outputs());
        Buffer<T> covariance(m * m);
        run_interruptibly(threads, [&](const auto& options) {
            posterior_.predict_covariance(test, mean.data(), covariance.data(), options);
        });
        return nb::make_tuple(to_numpy(std::move(mean), m, outputs(), Order::row_major),
                              to_numpy(std::move(covariance), m, m, Order::row_major));
    }

    nb::tuple predict_gradient(const MatrixIn<T>& x, const MatrixIn<T>& basis, int threads) {
        const auto test = test_points(x, basis);
        const index_t m = test.count(), d = columns_of(x), k = outputs();
        gp::PredictionGradient gradient;
        run_interruptibly(threads, [&](const auto& options) {
            gradient = posterior_.predict_gradient(test, options);
        });
        return nb::make_tuple(
            to_numpy(std::move(gradient.mean), m, k, d),
            to_numpy(std::move(gradient.variance), m, d, Order::row_major),
            to_numpy(std::move(gradient.basis), m, columns_of(basis), Order::row_major));
    }

    nb::object solve(const MatrixIn<T>& b, int threads) {
        return overwrite_columns(b, n(), threads, [&](const auto& columns, const auto& options) {
            posterior_.solve(columns, options);
        });
    }

    nb::object multiply(const MatrixIn<T>& b, int threads) {
        return overwrite_columns(b, n(), threads, [&](const auto& columns, const auto& options) {
            posterior_.multiply(columns, options);
        });
    }

    nb::object cholesky(int threads) {
        Buffer<T> dense(n() * n());
        run_interruptibly(threads, [&](const auto& options) {
            posterior_.cholesky(MatrixView<T>(dense.data(), n(), n()), options);
        });
        return to_numpy(std::move(dense), n(), n(), Order::column_major);
    }

    nb::object alpha(int threads) { return copy_to_numpy(conditioning(threads).alpha()); }

    nb::object inverse_diagonal(int threads) {
        Buffer<T> diagonal(n());
        run_interruptibly(threads, [&](const auto& options) {
            posterior_.inverse_diagonal(diagonal.data(), options);
        });
        return to_numpy(std::move(diagonal), n());
    }

    nb::tuple trend(int threads) {
        const auto& known = conditioning(threads);
        return nb::make_tuple(copy_to_numpy(known.trend_coefficients()),
                              copy_to_numpy(known.trend_factor()));
    }

    double log_determinant(int threads) { return conditioning(threads).log_determinant(); }
    double log_marginal_likelihood(int threads) {
        return conditioning(threads).log_marginal_likelihood();
    }

private:
    index_t n() const { return posterior_.problem().size(); }
    index_t outputs() const { return posterior_.problem().outputs(); }

    gp::TestPoints<T> test_points(const MatrixIn<T>& x, const MatrixIn<T>& basis) const {
        if (rows_of(x) != rows_of(basis) || columns_of(basis) != posterior_.problem().trends())
            throw InvalidArgument("the basis does not fit the points or the trend");
        return {as_points(x), transposed(basis)};
    }

    const gp::Conditioning<T>& conditioning(int threads) {
        const gp::Conditioning<T>* result = nullptr;
        run_interruptibly(threads,
                          [&](const auto& options) { result = &posterior_.conditioning(options); });
        return *result;
    }

    MatrixIn<T> x_;
    MatrixIn<T> y_;
    MatrixIn<T> basis_;
    gp::Posterior<T> posterior_;
};

template <class T>
nb::tuple differentiate(const Covariance<T>& covariance, const MatrixIn<T>& x, const MatrixIn<T>& y,
                        const MatrixIn<T>& basis, const VectorIn<double>& noise, index_t tile_size,
                        int objective, bool inputs, int threads) {
    const auto problem = make_problem<T>(covariance, x, y, basis, noise, tile_size);
    gp::Adjoint result;
    run_interruptibly(threads, [&](const auto& options) {
        result =
            gp::differentiate(problem, static_cast<gp::Objective>(objective),
                              inputs ? gp::Inputs::differentiated : gp::Inputs::fixed, options);
    });
    Buffer<double> parameters(static_cast<index_t>(result.parameters.size()));
    std::copy(result.parameters.begin(), result.parameters.end(), parameters.data());
    const index_t n = rows_of(x), p = parameters.size();
    const auto matrix = [n](Buffer<double>& values, index_t columns) {
        return to_numpy(std::move(values), n, columns, Order::row_major);
    };
    return nb::make_tuple(result.value, to_numpy(std::move(parameters), p),
                          to_numpy(std::move(result.noise), n),
                          matrix(result.targets, columns_of(y)),
                          inputs ? matrix(result.inputs, columns_of(x)) : nb::none(),
                          inputs ? matrix(result.basis, columns_of(basis)) : nb::none());
}

/// chol(K + noise)·Z
template <class T>
nb::object color(const Covariance<T>& covariance, const Points<T>& points,
                 const VectorIn<double>& noise, const MatrixIn<T>& z, index_t tile_size,
                 int threads) {
    gp::Posterior<T> posterior({covariance,
                                points,
                                {nullptr, 0, points.count},
                                {nullptr, 0, points.count},
                                make_noise(noise, points.count),
                                tile_size});
    return overwrite_columns(
        z, points.count, threads,
        [&](const auto& columns, const auto& options) { posterior.color(columns, options); });
}

template <class T>
nb::object color_points(const Covariance<T>& covariance, const MatrixIn<T>& x,
                        const VectorIn<double>& noise, const MatrixIn<T>& z, index_t tile_size,
                        int threads) {
    return color(covariance, as_points(x), noise, z, tile_size, threads);
}

template <class T>
nb::object color_matrix(const MatrixIn<T>& matrix, const VectorIn<double>& noise,
                        const MatrixIn<T>& z, index_t tile_size, int threads) {
    if (rows_of(matrix) != columns_of(matrix)) throw InvalidArgument("the matrix is not square");
    const gp::MatrixCovariance<T> covariance(transposed(matrix));
    return color<T>(covariance, covariance.points(), noise, z, tile_size, threads);
}

template <class T>
void bind_for(nb::module_& module, const std::string& type, const std::string& suffix) {
    using Posterior = PosteriorWithData<T>;
    nb::class_<Posterior>(module, ("Posterior" + type).c_str())
        .def(nb::init<const Covariance<T>&, MatrixIn<T>, MatrixIn<T>, MatrixIn<T>,
                      const VectorIn<double>&, index_t>(),
             nb::keep_alive<1, 2>(), "covariance"_a, "X"_a.noconvert(), "Y"_a.noconvert(),
             "basis"_a.noconvert(), "noise"_a, "tile_size"_a)
        .def("predict_mean", &Posterior::predict_mean, "Xs"_a.noconvert(), "basis"_a.noconvert(),
             "threads"_a = 0)
        .def("predict_variance", &Posterior::predict_variance, "Xs"_a.noconvert(),
             "basis"_a.noconvert(), "threads"_a = 0)
        .def("predict_covariance", &Posterior::predict_covariance, "Xs"_a.noconvert(),
             "basis"_a.noconvert(), "threads"_a = 0)
        .def("predict_gradient", &Posterior::predict_gradient, "Xs"_a.noconvert(),
             "basis"_a.noconvert(), "threads"_a = 0)
        .def("solve", &Posterior::solve, "B"_a.noconvert(), "threads"_a = 0)
        .def("multiply", &Posterior::multiply, "B"_a.noconvert(), "threads"_a = 0)
        .def("cholesky", &Posterior::cholesky, "threads"_a = 0)
        .def("alpha", &Posterior::alpha, "threads"_a = 0)
        .def("inverse_diagonal", &Posterior::inverse_diagonal, "threads"_a = 0)
        .def("trend", &Posterior::trend, "threads"_a = 0)
        .def("log_determinant", &Posterior::log_determinant, "threads"_a = 0)
        .def("log_marginal_likelihood", &Posterior::log_marginal_likelihood, "threads"_a = 0);
    module.def(("differentiate_" + suffix).c_str(), &differentiate<T>, "covariance"_a,
               "X"_a.noconvert(), "Y"_a.noconvert(), "basis"_a.noconvert(), "noise"_a,
               "tile_size"_a, "objective"_a, "inputs"_a, "threads"_a);
    module.def(("color_" + suffix).c_str(), &color_points<T>, "covariance"_a, "X"_a.noconvert(),
               "noise"_a, "Z"_a.noconvert(), "tile_size"_a, "threads"_a);
    module.def(("color_matrix_" + suffix).c_str(), &color_matrix<T>, "matrix"_a.noconvert(),
               "noise"_a, "Z"_a.noconvert(), "tile_size"_a, "threads"_a);
}

}  // namespace

void bind_gp(nb::module_& module) {
    bind_for<double>(module, "Float64", "float64");
    bind_for<float>(module, "Float32", "float32");
}

}  // namespace gprat::bindings
