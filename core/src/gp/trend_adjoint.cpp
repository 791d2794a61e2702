#include "gprat/gp/trend_adjoint.hpp"

#include <algorithm>

#include "gprat/gp/trend.hpp"
#include "gprat/linalg/blas.hpp"

namespace gprat::gp::trend {

namespace {

using blas::Op;

template <class To, class From>
Buffer<To> converted(const Buffer<From>& from) {
    Buffer<To> to(from.size());
    std::transform(from.data(), from.data() + from.size(), to.data(),
                   [](From value) { return static_cast<To>(value); });
    return to;
}

}  // namespace

template <class T>
Buffer<T> multipliers(const Conditioning<T>& conditioning, MatrixView<const T> g) {
    const Buffer<double> exact(g.rows * g.cols);
    differentiate<T>(conditioning, g, exact.data());
    return converted<T>(exact);
}

template <class T>
Buffer<double> pull_back_basis(const Conditioning<T>& conditioning, const Cotangents<T>& cotangents,
                               MatrixView<const T> multipliers, MatrixView<const T> b,
                               MatrixView<const T> products) {
    const index_t trends = conditioning.trends;
    const Buffer<T> result(trends * conditioning.size), product(trends * conditioning.outputs);
    const MatrixView<T> out(result.data(), trends, conditioning.size);
    blas::gemm(Op::none, Op::transpose, T(-1), conditioning.trend_coefficients(), b, T(0), out);
    auto by_mean = multipliers;
    if (cotangents.has_covariance()) {
        const MatrixView<T> projected(product.data(), trends, conditioning.outputs);
        blas::gemm(Op::none, Op::transpose, T(1), multipliers, cotangents.mean_t, T(0), projected);
        by_mean = projected;
        blas::gemm(Op::none, Op::transpose, T(-1), multipliers, products, T(1), out);
    }
    blas::gemm(Op::none, Op::transpose, T(0.5), by_mean, conditioning.alpha(), T(1), out);
    return converted<double>(result);
}

template <class T>
Buffer<double> pull_back_test_basis(const Conditioning<T>& conditioning,
                                    const Cotangents<T>& cotangents,
                                    MatrixView<const T> multipliers) {
    const index_t trends = conditioning.trends, m = cotangents.mean_t.cols, g = cotangents.group;
    const Buffer<T> result(trends * m);
    const MatrixView<T> out(result.data(), trends, m);
    blas::gemm(Op::none, Op::none, T(1), conditioning.trend_coefficients(), cotangents.mean_t, T(0),
               out);
    for (index_t first = 0; cotangents.has_covariance() && first < m; first += g)
        blas::gemm(Op::none, Op::none, T(1), multipliers.block(0, first, trends, g),
                   cotangents.of_group(first / g), T(1), out.block(0, first, trends, g));
    return converted<double>(result);
}

#define GPRAT_INSTANTIATE(T)                                                                   \
    template Buffer<T> multipliers(const Conditioning<T>&, MatrixView<const T>);               \
    template Buffer<double> pull_back_basis(const Conditioning<T>&, const Cotangents<T>&,      \
                                            MatrixView<const T>, MatrixView<const T>,          \
                                            MatrixView<const T>);                              \
    template Buffer<double> pull_back_test_basis(const Conditioning<T>&, const Cotangents<T>&, \
                                                 MatrixView<const T>);
GPRAT_INSTANTIATE(float)
GPRAT_INSTANTIATE(double)
#undef GPRAT_INSTANTIATE

}  // namespace gprat::gp::trend
