#pragma once

#include <nanobind/ndarray.h>

#include "gprat/covariance/covariance.hpp"

namespace gprat::bindings {

namespace nb = nanobind;

/// A covariance function whose blocks Python evaluates. Workers take the GIL for each; an exception
/// there cancels the graph and reaches the caller as it is.
template <class T>
class PythonCovariance final : public covariance::Covariance<T> {
public:
    /// `evaluate(first_row, rows, first_column, columns, same_set)` returns the block's values;
    /// `diagonal(points)` those of k(x, x); `gradient(…, weights)` the derivatives of Σ weights·k
    /// by each parameter.
    PythonCovariance(nb::object evaluate, nb::object diagonal, nb::object gradient,
                     index_t parameters)
        : evaluate_(std::move(evaluate)),
          diagonal_(std::move(diagonal)),
          gradient_(std::move(gradient)),
          parameters_(parameters) {}

    index_t parameter_count() const override { return parameters_; }
    void evaluate(covariance::Points<T> rows, covariance::Points<T> columns,
                  covariance::Pairing pairing, covariance::Region region,
                  MatrixView<T> k) const override;
    void diagonal(covariance::Points<T> points, T* out) const override;
    void accumulate_gradient(covariance::Points<T> rows, covariance::Points<T> columns,
                             covariance::Pairing pairing, covariance::Region region,
                             MatrixView<const T> weights,
                             const covariance::GradientSink<T>& sink) const override;

private:
    nb::object evaluate_;
    nb::object diagonal_;
    nb::object gradient_;
    index_t parameters_;
};

}  // namespace gprat::bindings
