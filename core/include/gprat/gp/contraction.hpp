#pragma once

#include <span>
#include <vector>

#include "gprat/gp/problem.hpp"

/// Adjoints at blocks of covariances, contracted with the kernel's derivatives. They are
/// overwritten or short-lived: nothing of the size of the whole matrix is made.
namespace gprat::gp {

/// Derivatives by kernel parameters in parts, one for each task that adds to them, summed at the
/// end in a fixed order. Without parameters there are no derivatives, which tells kernels so.
class PartialGradients {
public:
    PartialGradients(index_t parts, index_t parameters)
        : parameters_(parameters), values_(static_cast<std::size_t>(parts * parameters), 0.0) {}

    std::span<double> part(index_t index) {
        return {values_.data() + index * parameters_, static_cast<std::size_t>(parameters_)};
    }

    std::vector<double> sum() const;

private:
    index_t parameters_;
    std::vector<double> values_;
};

/// Where derivatives through K = k(X, X) + noise go; what is null is not wanted.
template <class T>
struct TrainingSink {
    const Problem<T>& problem;
    PartialGradients& parameters;
    double* noise;   ///< n, overwritten
    double* inputs;  ///< n × dimension, added to
};

/// What a tile of the symmetric K counts: below the diagonal it stands for its mirror image too.
template <class T>
T factor_of_tile(index_t i, index_t j) {
    return i == j ? T(1) : T(2);
}

/// Adds the derivatives of Σ adjoint(i, j)·k(row_i, column_j) over two parts of one set, which are
/// the same or have no point in common. Of the same points the lower triangle counts, off the
/// diagonal twice. Overwrites the adjoint.
template <class T>
void contract_pairs(const covariance::Covariance<T>& kernel, covariance::Points<T> rows,
                    covariance::Points<T> columns, MatrixView<T> adjoint,
                    const covariance::GradientSink<T>& sink);

/// Contracts tile (i, j) of the adjoint at K, times its factor; overwrites it.
template <class T>
void contract_tile(const TrainingSink<T>& sink, MatrixView<T> adjoint, index_t i, index_t j,
                   index_t part);

/// The points whose covariances are differentiated, and where their derivatives are added: empty or
/// null where they are not wanted. `inputs` is of the first of all points.
struct PointSink {
    std::span<double> parameters;
    double* inputs;

    template <class T>
    double* of(const covariance::Points<T>& points) const {
        return inputs == nullptr ? nullptr : inputs + points.first * points.dimension;
    }
};

/// Adds the derivatives of Σ weights_j·k(point_j, point_j); null weights are ones.
template <class T>
void contract_variances(const Problem<T>& problem, covariance::Points<T> points, const T* weights,
                        const PointSink& sink);

/// Adds the derivatives of Σ weights(i, j)·k(row_i, column_j), and of their mirror image unless
/// rows and columns are the same. The weights of the same points are symmetric.
template <class T>
void contract_covariances(const Problem<T>& problem, covariance::Points<T> rows,
                          covariance::Points<T> columns, MatrixView<const T> weights,
                          const PointSink& sink);

}  // namespace gprat::gp
