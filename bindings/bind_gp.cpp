#include <string>
#include <utility>

#include "arrays.hpp"
#include "bindings.hpp"
#include "columns.hpp"
#include "gprat/gp/adjoint.hpp"
#include "gprat/gp/matrix_covariance.hpp"
#include "gprat/gp/posterior.hpp"
#include "gprat/gp/products.hpp"
#include "gprat/gp/tile_size.hpp"
#include "interruptible.hpp"
#include "problem.hpp"

namespace gprat::bindings {

using namespace nb::literals;

namespace {

template <class T>
nb::tuple differentiate(const ProblemWithData<T>& problem, int objective, bool inputs,
                        int threads) {
    gp::Adjoint result;
    run_interruptibly(threads, [&](const auto& options) {
        result =
            gp::differentiate<T>(problem, static_cast<gp::Objective>(objective),
                                 inputs ? gp::Inputs::differentiated : gp::Inputs::fixed, options);
    });
    const index_t n = problem.size();
    const auto matrix = [n](Buffer<double>& values, index_t columns) {
        return to_numpy(std::move(values), n, columns, Order::row_major);
    };
    return nb::make_tuple(result.value, to_numpy(result.parameters),
                          to_numpy(std::move(result.noise), n),
                          matrix(result.targets, problem.outputs()),
                          inputs ? matrix(result.inputs, problem.inputs.dimension) : nb::none(),
                          inputs ? matrix(result.basis, problem.trends()) : nb::none());
}

/// K·B and |K|·|B| of the covariance matrix itself, and its diagonal.
template <class T>
nb::tuple multiply_covariance(const ProblemWithData<T>& problem, const MatrixIn<T>& b,
                              int threads) {
    const index_t n = problem.size(), r = columns_of(b);
    if (rows_of(b) != n) throw InvalidArgument("B must have one row for each row of X");
    const auto copy = copy_columns(b);
    gp::Products products;
    run_interruptibly(threads, [&](const auto& options) {
        products = gp::multiply_covariance<T>(problem, {copy.data(), n, r}, options);
    });
    return nb::make_tuple(to_numpy(std::move(products.values), n, r, Order::column_major),
                          to_numpy(std::move(products.magnitudes), n, r, Order::column_major),
                          to_numpy(std::move(products.diagonal), n));
}

/// chol(K + noise)·Z; targets and basis play no part.
template <class T>
nb::object color(gp::Problem<T> problem, const MatrixIn<T>& z, int threads) {
    const index_t n = problem.size();
    problem.targets_t = problem.basis_t = {nullptr, 0, n};
    gp::Posterior<T> posterior(std::move(problem));
    return overwrite_columns(z, n, threads, [&](const auto& columns, const auto& options) {
        posterior.color(columns, options);
    });
}

template <class T>
nb::object color_problem(const ProblemWithData<T>& problem, const MatrixIn<T>& z, int threads) {
    return color<T>(problem, z, threads);
}

template <class T>
nb::object color_matrix(const MatrixIn<T>& matrix, const VectorIn<double>& noise,
                        const MatrixIn<T>& z, index_t tile_size, int threads) {
    if (rows_of(matrix) != columns_of(matrix)) throw InvalidArgument("the matrix is not square");
    const gp::MatrixCovariance<T> covariance(transposed(matrix));
    const auto points = covariance.points();
    return color<T>({covariance, points, {}, {}, make_noise(noise, points.count), tile_size}, z,
                    threads);
}

template <class T>
void bind_for(nb::module_& module, const std::string& suffix) {
    module.def(("differentiate_" + suffix).c_str(), &differentiate<T>, "problem"_a, "objective"_a,
               "inputs"_a, "threads"_a);
    module.def(("multiply_covariance_" + suffix).c_str(), &multiply_covariance<T>, "problem"_a,
               "B"_a.noconvert(), "threads"_a);
    module.def(("color_" + suffix).c_str(), &color_problem<T>, "problem"_a, "Z"_a.noconvert(),
               "threads"_a);
    module.def(("color_matrix_" + suffix).c_str(), &color_matrix<T>, "matrix"_a.noconvert(),
               "noise"_a, "Z"_a.noconvert(), "tile_size"_a, "threads"_a);
}

}  // namespace

void bind_gp(nb::module_& module) {
    bind_for<double>(module, "float64");
    bind_for<float>(module, "float32");
    nb::module_ tiles = module.def_submodule("tiles");
    tiles.attr("SMALLEST") = gp::kSmallestTile;
    tiles.attr("LARGEST") = gp::kLargestTile;
    tiles.def("automatic", &gp::automatic_tile_size, "n"_a, "processors"_a);
    tiles.def("side_at_least", &gp::tile_side_at_least, "size"_a);
}

}  // namespace gprat::bindings
