#include "gprat/gp/trend.hpp"

#include "gprat/linalg/blas.hpp"

namespace gprat::gp::trend {

template <class T>
void add_mean(const Conditioning<T>& conditioning, MatrixView<const T> basis_t, T* mean) {
    if (conditioning.trends == 0) return;
    blas::gemm(blas::Op::transpose, blas::Op::none, T(1), conditioning.trend_coefficients(),
               basis_t, T(1), MatrixView<T>(mean, conditioning.outputs, basis_t.cols));
}

template <class T>
void split(const Conditioning<T>& conditioning, MatrixView<const T> basis_t, const T* projected,
           T* mean, MatrixView<T> g) {
    const index_t k = conditioning.outputs, q = conditioning.trends;
    const auto r = conditioning.trend_factor();
    for (index_t j = 0; j < basis_t.cols; ++j) {
        const T* const point = projected + j * (k + q);
        for (index_t o = 0; o < k; ++o) mean[j * k + o] = point[o];
        for (index_t i = 0; i < q; ++i) {
            T value = basis_t(i, j);
            for (index_t l = 0; l < i; ++l) value -= r(l, i) * g(l, j);
            g(i, j) = value / r(i, i);
        }
    }
    for (index_t j = 0; j < basis_t.cols; ++j)
        for (index_t i = 0; i < q; ++i) g(i, j) -= projected[j * (k + q) + k + i];
    add_mean(conditioning, basis_t, mean);
}

template <class T>
void differentiate(const Conditioning<T>& conditioning, MatrixView<const T> g, double* adjoint) {
    const index_t q = conditioning.trends;
    const auto r = conditioning.trend_factor();
    for (index_t j = 0; j < g.cols; ++j) {
        double* const out = adjoint + j * q;
        for (index_t i = q - 1; i >= 0; --i) {
            double value = 2.0 * static_cast<double>(g(i, j));
            for (index_t l = i + 1; l < q; ++l) value -= static_cast<double>(r(i, l)) * out[l];
            out[i] = value / static_cast<double>(r(i, i));
        }
    }
}

#define GPRAT_INSTANTIATE(T)                                                                       \
    template void add_mean(const Conditioning<T>&, MatrixView<const T>, T*);                       \
    template void split(const Conditioning<T>&, MatrixView<const T>, const T*, T*, MatrixView<T>); \
    template void differentiate(const Conditioning<T>&, MatrixView<const T>, double*);
GPRAT_INSTANTIATE(float)
GPRAT_INSTANTIATE(double)
#undef GPRAT_INSTANTIATE

}  // namespace gprat::gp::trend
