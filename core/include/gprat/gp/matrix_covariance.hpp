#pragma once

#include <algorithm>

#include "gprat/covariance/covariance.hpp"

namespace gprat::gp {

/// A covariance matrix that is known already, of points that are nothing but their indices.
template <class T>
class MatrixCovariance final : public covariance::Covariance<T> {
public:
    using Points = covariance::Points<T>;

    /// `matrix` is symmetric.
    explicit MatrixCovariance(MatrixView<const T> matrix) : matrix_(matrix) {}

    Points points() const { return {nullptr, matrix_.rows, 0, 0}; }

    index_t parameter_count() const override { return 0; }

    void evaluate(Points rows, Points columns, covariance::Pairing, covariance::Region,
                  MatrixView<T> k) const override {
        for (index_t j = 0; j < k.cols; ++j)
            std::copy_n(matrix_.column(columns.first + j) + rows.first, k.rows, k.column(j));
    }

    void diagonal(Points points, T* out) const override {
        for (index_t i = 0; i < points.count; ++i)
            out[i] = matrix_(points.first + i, points.first + i);
    }

    void accumulate_gradient(Points, Points, covariance::Pairing, covariance::Region,
                             MatrixView<const T>,
                             const covariance::GradientSink<T>&) const override {}

private:
    MatrixView<const T> matrix_;
};

}  // namespace gprat::gp
