#include <nanobind/stl/optional.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "arrays.hpp"
#include "bindings.hpp"
#include "columns.hpp"
#include "gprat/gp/posterior.hpp"
#include "gprat/gp/update.hpp"
#include "interruptible.hpp"
#include "problem.hpp"

namespace gprat::bindings {

using namespace nb::literals;

namespace {

template <class T>
nb::object copy_to_numpy(MatrixView<T> view) {
    Buffer<T> copy(view.rows * view.cols);
    for (index_t j = 0; j < view.cols; ++j)
        std::copy_n(view.column(j), view.rows, copy.data() + j * view.rows);
    return to_numpy(std::move(copy), view.rows, view.cols, Order::column_major);
}

/// V = L⁻¹k(X, X*) on its way from a prediction to what it pulls back.
template <class T>
struct KeptColumns {
    ColumnBuffer<T> columns;
    index_t count = 0;
};

/// A posterior as Python has it; keeps the array of a factor that was given.
template <class T>
class PosteriorOfArrays {
public:
    explicit PosteriorOfArrays(const ProblemWithData<T>& problem) : posterior_(problem) {}

    /// With a factor that `factor` hands out, of which no copy is made.
    PosteriorOfArrays(const ProblemWithData<T>& problem, VectorIn<T> factor)
        : factor_(std::move(factor)), posterior_(problem, borrow_tiles(problem.layout(), factor_)) {
        run_interruptibly(
            1, [&](const auto& options) { gp::check_factor(*posterior_.known_factor(options)); });
    }

    PosteriorOfArrays(const ProblemWithData<T>& problem, TiledMatrix<T> factor)
        : posterior_(problem, std::move(factor)) {}

    nb::object predict_mean(const MatrixIn<T>& x, const MatrixIn<T>& basis, int threads) {
        const auto test = test_points(x, basis);
        Buffer<T> mean(test.count() * outputs());
        run_interruptibly(threads, [&](const auto& options) {
            posterior_.predict_mean(test, mean.data(), options);
        });
        return to_numpy(std::move(mean), test.count(), outputs(), Order::row_major);
    }

    nb::tuple predict_variance(const MatrixIn<T>& x, const MatrixIn<T>& basis, int threads,
                               index_t blocks) {
        const auto test = test_points(x, basis);
        const index_t m = test.count();
        Buffer<T> mean(m * outputs());
        Buffer<T> variance(m);
        gp::Clipping clipping;
        run_interruptibly(threads, [&](auto options) {
            options.blocks = blocks;
            clipping = posterior_.predict_variance(test, mean.data(), variance.data(), options);
        });
        return nb::make_tuple(to_numpy(std::move(mean), m, outputs(), Order::row_major),
                              to_numpy(std::move(variance), m), clipping.count, clipping.worst);
    }

    nb::tuple predict_covariance(const MatrixIn<T>& x, const MatrixIn<T>& basis, int threads) {
        const auto test = test_points(x, basis);
        const index_t m = test.count();
        Buffer<T> mean(m * outputs());
        Buffer<T> covariance(m * m);
        gp::Clipping clipping;
        run_interruptibly(threads, [&](const auto& options) {
            clipping = posterior_.predict_covariance(test, mean.data(), covariance.data(), options);
        });
        return nb::make_tuple(to_numpy(std::move(mean), m, outputs(), Order::row_major),
                              to_numpy(std::move(covariance), m, m, Order::row_major),
                              clipping.count, clipping.worst);
    }

    /// Mean, covariances, how many were clipped and how far; and V, if it is to be kept.
    nb::tuple predict_joint(const MatrixIn<T>& x, const MatrixIn<T>& basis, index_t group,
                            bool keep, int threads, index_t blocks) {
        const auto test = test_points(x, basis);
        const index_t m = test.count();
        Buffer<T> mean(m * outputs());
        Buffer<T> covariance(m * group);
        KeptColumns<T> kept;
        gp::Clipping clipping;
        run_interruptibly(threads, [&](auto options) {
            options.blocks = blocks;
            clipping = posterior_.predict_joint(test, group, mean.data(), covariance.data(),
                                                keep ? &kept.columns : nullptr, options);
        });
        kept.count = m;
        return nb::make_tuple(to_numpy(std::move(mean), m, outputs(), Order::row_major),
                              to_numpy(std::move(covariance), m / group, group, group),
                              clipping.count, clipping.worst,
                              keep ? nb::cast(std::move(kept)) : nb::none());
    }

    /// By parameters, noise, targets, inputs, basis, test inputs, test basis: None if not wanted.
    nb::tuple pull_back(const MatrixIn<T>& x, const MatrixIn<T>& basis, const MatrixIn<T>& mean,
                        std::optional<CubeIn<T>> covariance, unsigned wanted,
                        const KeptColumns<T>* kept, int threads, index_t blocks) {
        const auto test = test_points(x, basis);
        const index_t m = test.count();
        const auto derivatives = static_cast<gp::Derivatives>(wanted);
        if (kept != nullptr && kept->count != m)
            throw InvalidArgument("what was kept is of other points");
        const auto cotangents = make_cotangents(m, mean, covariance);
        gp::PosteriorAdjoint result;
        run_interruptibly(threads, [&](auto options) {
            options.blocks = blocks;
            result = posterior_.pull_back(test, cotangents, derivatives,
                                          kept ? &kept->columns : nullptr, options);
        });
        using enum gp::Derivatives;
        const auto wants = [wanted](auto what) { return (wanted & unsigned(what)) != 0; };
        const auto matrix = [](bool is_wanted, Buffer<double>& values, index_t rows,
                               index_t columns) -> nb::object {
            if (!is_wanted) return nb::none();
            return to_numpy(std::move(values), rows, columns, Order::row_major);
        };
        const index_t d = columns_of(x), q = columns_of(basis);
        return nb::make_tuple(wants(parameters) ? to_numpy(result.parameters) : nb::none(),
                              wants(noise) ? to_numpy(std::move(result.noise), n()) : nb::none(),
                              matrix(wants(targets), result.targets, n(), outputs()),
                              matrix(wants(inputs), result.inputs, n(), d),
                              matrix(wants(inputs), result.basis, n(), q),
                              matrix(wants(test_inputs), result.test_inputs, m, d),
                              matrix(wants(test_inputs), result.test_basis, m, q));
    }

    index_t clipped_variances() const { return posterior_.clipped_variances(); }

    nb::tuple predict_gradient(const MatrixIn<T>& x, const MatrixIn<T>& basis, int threads,
                               index_t blocks) {
        const auto test = test_points(x, basis);
        const index_t m = test.count(), d = columns_of(x), k = outputs();
        gp::PredictionGradient gradient;
        run_interruptibly(threads, [&](auto options) {
            options.blocks = blocks;
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

    nb::object inverse_diagonal(int threads, index_t blocks) {
        Buffer<T> diagonal(n());
        run_interruptibly(threads, [&](auto options) {
            options.blocks = blocks;
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

    /// The posterior of more rows, the first of which are those of this one.
    PosteriorOfArrays* append(const ProblemWithData<T>& problem, int threads) {
        if (problem.size() < n()) throw InvalidArgument("the rows are fewer than before");
        return update(problem, threads, [&](const auto& factor, const auto& options) {
            return gp::append_rows<T>(factor, problem, options);
        });
    }

    /// The posterior without some of the rows.
    PosteriorOfArrays* remove(const VectorIn<index_t>& rows, const ProblemWithData<T>& problem,
                              int threads) {
        const std::span<const index_t> gone(rows.data(), rows.size());
        if (!std::ranges::is_sorted(gone, std::less_equal<>{}) ||
            (!gone.empty() && (gone.front() < 0 || gone.back() >= n())) ||
            problem.size() != n() - std::ssize(gone))
            throw InvalidArgument("these rows cannot be deleted to leave the problem");
        return update(problem, threads, [&](const auto& factor, const auto& options) {
            return gp::delete_rows<T>(factor, gone, problem, options);
        });
    }

    /// Tiles of L, read-only, which keep `self` alive.
    nb::object factor(nb::handle self, int threads) {
        const Buffer<T>* storage = nullptr;
        run_interruptibly(
            threads, [&](const auto& options) { storage = &posterior_.factor(options).storage(); });
        return nb::cast(nb::ndarray<nb::numpy, const T>(
            storage->data(), {static_cast<std::size_t>(storage->size())}, self));
    }

private:
    static TiledMatrix<T> borrow_tiles(const TileLayout& layout, const VectorIn<T>& factor) {
        // Nothing writes to the tiles of a posterior's factor.
        return {layout, Buffer<T>::borrow(const_cast<T*>(factor.data()),
                                          static_cast<index_t>(factor.size()))};
    }

    /// The posterior with the factor that `update(factor, options)` makes of this one's; without
    /// one where this one has none yet.
    template <class Update>
    PosteriorOfArrays* update(const ProblemWithData<T>& problem, int threads, Update&& update) {
        std::optional<TiledMatrix<T>> updated;
        run_interruptibly(threads, [&](const auto& options) {
            if (const auto* known = posterior_.known_factor(options))
                updated = update(*known, options);
        });
        return updated ? new PosteriorOfArrays(problem, std::move(*updated))
                       : new PosteriorOfArrays(problem);
    }

    index_t n() const { return posterior_.problem().size(); }
    index_t outputs() const { return posterior_.problem().outputs(); }

    gp::Cotangents<T> make_cotangents(index_t m, const MatrixIn<T>& mean,
                                      const std::optional<CubeIn<T>>& covariance) const {
        if (rows_of(mean) != m || columns_of(mean) != outputs())
            throw InvalidArgument("the mean's cotangent does not fit the points or the targets");
        gp::Cotangents<T> cotangents{transposed(mean)};
        if (!covariance) return cotangents;
        cotangents.covariance = covariance->data();
        cotangents.group = static_cast<index_t>(covariance->shape(1));
        if (covariance->shape(1) != covariance->shape(2) ||
            static_cast<index_t>(covariance->shape(0)) * cotangents.group != m)
            throw InvalidArgument("the covariance's cotangent does not fit the points");
        return cotangents;
    }

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

    VectorIn<T> factor_;
    gp::Posterior<T> posterior_;
};

template <class T>
void bind_for(nb::module_& module, const std::string& type) {
    using Posterior = PosteriorOfArrays<T>;
    using Problem = ProblemWithData<T>;
    nb::class_<Problem>(module, ("Problem" + type).c_str())
        .def(nb::init<const covariance::Covariance<T>&, MatrixIn<T>, MatrixIn<T>, MatrixIn<T>,
                      const VectorIn<double>&, index_t>(),
             nb::keep_alive<1, 2>(), "covariance"_a, "X"_a.noconvert(), "Y"_a.noconvert(),
             "basis"_a.noconvert(), "noise"_a, "tile_size"_a)
        .def_prop_ro("factor_size", &Problem::factor_size);
    nb::class_<KeptColumns<T>>(module, ("KeptColumns" + type).c_str());
    nb::class_<Posterior>(module, ("Posterior" + type).c_str())
        .def(nb::init<const Problem&>(), nb::keep_alive<1, 2>(), "problem"_a)
        .def(nb::init<const Problem&, VectorIn<T>>(), nb::keep_alive<1, 2>(), "problem"_a,
             "factor"_a.noconvert())
        .def("append", &Posterior::append, nb::keep_alive<0, 2>(), "problem"_a, "threads"_a = 0)
        .def("delete", &Posterior::remove, nb::keep_alive<0, 3>(), "rows"_a, "problem"_a,
             "threads"_a = 0)
        .def(
            "factor",
            [](nb::handle_t<Posterior> self, int threads) {
                return nb::cast<Posterior&>(self).factor(self, threads);
            },
            "threads"_a = 0)
        .def("predict_mean", &Posterior::predict_mean, "Xs"_a.noconvert(), "basis"_a.noconvert(),
             "threads"_a = 0)
        .def("predict_variance", &Posterior::predict_variance, "Xs"_a.noconvert(),
             "basis"_a.noconvert(), "threads"_a = 0, "blocks"_a = 0)
        .def("predict_covariance", &Posterior::predict_covariance, "Xs"_a.noconvert(),
             "basis"_a.noconvert(), "threads"_a = 0)
        .def_prop_ro("clipped_variances", &Posterior::clipped_variances)
        .def("predict_gradient", &Posterior::predict_gradient, "Xs"_a.noconvert(),
             "basis"_a.noconvert(), "threads"_a = 0, "blocks"_a = 0)
        .def("predict_joint", &Posterior::predict_joint, "Xs"_a.noconvert(), "basis"_a.noconvert(),
             "group"_a, "keep"_a, "threads"_a = 0, "blocks"_a = 0)
        .def("pull_back", &Posterior::pull_back, "Xs"_a.noconvert(), "basis"_a.noconvert(),
             "mean"_a.noconvert(), "covariance"_a.noconvert().none(), "wanted"_a, "kept"_a.none(),
             "threads"_a = 0, "blocks"_a = 0)
        .def("solve", &Posterior::solve, "B"_a.noconvert(), "threads"_a = 0)
        .def("multiply", &Posterior::multiply, "B"_a.noconvert(), "threads"_a = 0)
        .def("cholesky", &Posterior::cholesky, "threads"_a = 0)
        .def("alpha", &Posterior::alpha, "threads"_a = 0)
        .def("inverse_diagonal", &Posterior::inverse_diagonal, "threads"_a = 0, "blocks"_a = 0)
        .def("trend", &Posterior::trend, "threads"_a = 0)
        .def("log_determinant", &Posterior::log_determinant, "threads"_a = 0)
        .def("log_marginal_likelihood", &Posterior::log_marginal_likelihood, "threads"_a = 0);
}

}  // namespace

void bind_posterior(nb::module_& module) {
    bind_for<double>(module, "Float64");
    bind_for<float>(module, "Float32");
}

}  // namespace gprat::bindings
