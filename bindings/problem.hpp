#pragma once

#include <utility>
#include <vector>

#include "arrays.hpp"
#include "gprat/error.hpp"
#include "gprat/gp/problem.hpp"
#include "gprat/linalg/tiled_matrix.hpp"

namespace gprat::bindings {

template <class T>
index_t rows_of(const MatrixIn<T>& x) {
    return static_cast<index_t>(x.shape(0));
}

template <class T>
index_t columns_of(const MatrixIn<T>& x) {
    return static_cast<index_t>(x.shape(1));
}

template <class T>
covariance::Points<T> as_points(const MatrixIn<T>& x) {
    return {x.data(), rows_of(x), columns_of(x), 0};
}

/// A row-major array is the transpose of a column-major view.
template <class T>
MatrixView<const T> transposed(const MatrixIn<T>& x) {
    return {x.data(), columns_of(x), rows_of(x)};
}

inline std::vector<double> make_noise(const VectorIn<double>& noise, index_t n) {
    if (noise.size() != 1 && static_cast<index_t>(noise.size()) != n)
        throw InvalidArgument("noise has neither one value nor one a row");
    return {noise.data(), noise.data() + noise.size()};
}

/// A problem with the arrays that it reads; Python keeps the kernel alive.
template <class T>
class ProblemWithData : public gp::Problem<T> {
public:
    ProblemWithData(const covariance::Covariance<T>& covariance, MatrixIn<T> x, MatrixIn<T> y,
                    MatrixIn<T> basis, const VectorIn<double>& noise, index_t tile_size)
        : gp::Problem<T>{covariance,
                         as_points(x),
                         transposed(y),
                         transposed(basis),
                         make_noise(noise, rows_of(x)),
                         tile_size},
          x_(std::move(x)),
          y_(std::move(y)),
          basis_(std::move(basis)) {
        if (rows_of(x_) != rows_of(y_) || rows_of(x_) != rows_of(basis_))
            throw InvalidArgument("X, Y and basis have different numbers of rows");
    }

    /// How many numbers its factor has, as tiles.
    index_t factor_size() const { return TiledMatrix<T>::size_of(this->layout()); }

private:
    MatrixIn<T> x_;
    MatrixIn<T> y_;
    MatrixIn<T> basis_;
};

}  // namespace gprat::bindings
