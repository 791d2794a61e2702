#include "python_covariance.hpp"

#include <initializer_list>
#include <string>

#include "gprat/error.hpp"

namespace gprat::bindings {

using covariance::Pairing;
using covariance::Points;
using covariance::Region;

namespace {

template <class T>
nb::object as_array(const T* data, index_t rows, index_t cols, index_t row_stride,
                    index_t column_stride) {
    // The view is valid during the call only: an owner of its own keeps NumPy from copying.
    const nb::capsule owner(data, [](void*) noexcept {});
    return nb::cast(nb::ndarray<nb::numpy, const T>(
        data, {static_cast<std::size_t>(rows), static_cast<std::size_t>(cols)}, owner,
        {row_stride, column_stride}));
}

template <class T>
nb::object as_array(const Points<T>& points) {
    return as_array(points.data, points.count, points.dimension, points.dimension, 1);
}

/// What Python returned, as float64 in any order.
template <int dimensions>
using Values = nb::ndarray<const double, nb::ndim<dimensions>, nb::device::cpu>;

template <int dimensions>
Values<dimensions> check(const nb::object& result, std::initializer_list<index_t> shape,
                         const char* what) {
    Values<dimensions> values;
    bool fits = nb::try_cast(result, values);
    int axis = 0;
    for (const index_t size : shape)
        fits = fits && static_cast<index_t>(values.shape(axis++)) == size;
    if (fits) return values;
    std::string expected;
    for (const index_t size : shape)
        expected += (expected.empty() ? "" : " x ") + std::to_string(size);
    throw InvalidArgument(std::string(what) + " must return float64 values of shape " + expected);
}

}  // namespace

template <class T>
void PythonCovariance<T>::evaluate(Points<T> rows, Points<T> columns, Pairing pairing, Region,
                                   MatrixView<T> k) const {
    const nb::gil_scoped_acquire gil;
    const nb::object result = evaluate_(rows.first, as_array(rows), columns.first,
                                        as_array(columns), pairing == Pairing::same_set);
    const auto values = check<2>(result, {rows.count, columns.count}, "a kernel's block");
    for (index_t j = 0; j < k.cols; ++j)
        for (index_t i = 0; i < k.rows; ++i) k(i, j) = static_cast<T>(values(i, j));
}

template <class T>
void PythonCovariance<T>::diagonal(Points<T> points, T* out) const {
    const nb::gil_scoped_acquire gil;
    const nb::object result = diagonal_(as_array(points));
    const auto values = check<1>(result, {points.count}, "a kernel's diagonal");
    for (index_t i = 0; i < points.count; ++i) out[i] = static_cast<T>(values(i));
}

template <class T>
void PythonCovariance<T>::accumulate_gradient(Points<T> rows, Points<T> columns, Pairing pairing,
                                              Region, MatrixView<const T> weights,
                                              const covariance::GradientSink<T>& sink) const {
    if (sink.rows || sink.columns)
        throw InvalidArgument("a kernel in Python has no derivatives by the points");
    if (sink.parameters.empty()) return;
    const nb::gil_scoped_acquire gil;
    const nb::object result = gradient_(
        rows.first, as_array(rows), columns.first, as_array(columns), pairing == Pairing::same_set,
        as_array(weights.data, weights.rows, weights.cols, 1, weights.ld));
    const auto values = check<1>(result, {parameters_}, "a kernel's gradient");
    for (index_t p = 0; p < parameters_; ++p) sink.parameters[p] += values(p);
}

template class PythonCovariance<double>;
template class PythonCovariance<float>;

}  // namespace gprat::bindings
