#pragma once

#include "gprat/types.hpp"

namespace gprat::gp {

/// Derivatives of a function by the mean and by joint covariances of consecutive test points.
template <class T>
struct Cotangents {
    MatrixView<const T> mean_t;     ///< outputs × m
    const T* covariance = nullptr;  ///< m/group symmetric matrices; null: zeros
    index_t group = 1;

    bool has_covariance() const { return covariance != nullptr; }
    MatrixView<const T> of_group(index_t index) const {
        return {covariance + index * group * group, group, group};
    }
};

}  // namespace gprat::gp
