#pragma once

#include "gprat/tasks/recording.hpp"
#include "gprat/types.hpp"

namespace gprat::gp {

enum class Operation { fit, predict, variance, covariance };

/// Sizes of an operation, all that its tasks depend on.
struct Sizes {
    index_t training_points;
    index_t dimension;
    index_t test_points;
    index_t outputs;
    index_t parameters;  ///< of the kernel, the noise not counted
    index_t tile_size;
};

/// Notes the tasks that the operation would run: those of the likelihood with its gradient, or of a
/// first prediction. Neither data nor memory for matrices are needed.
template <class T>
void record(Operation operation, const Sizes& sizes, tasks::Recording& recording);

}  // namespace gprat::gp
