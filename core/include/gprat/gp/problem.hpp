#pragma once

#include <vector>

#include "gprat/covariance/covariance.hpp"
#include "gprat/linalg/tile_layout.hpp"
#include "gprat/tasks/task_graph.hpp"
#include "gprat/types.hpp"

namespace gprat::gp {

/// Data, kernel, trend and noise of one exact Gaussian process; owns neither arrays nor kernel.
template <class T>
struct Problem {
    const covariance::Covariance<T>& kernel;
    covariance::Points<T> inputs;   ///< X, n × d
    MatrixView<const T> targets_t;  ///< Yᵀ, outputs × n: a row-major n × outputs array
    MatrixView<const T> basis_t;    ///< Hᵀ, trends × n: basis functions of the mean
    std::vector<double> noise;      ///< variances: one for all rows, or one a row
    index_t tile_size;

    index_t size() const { return inputs.count; }
    index_t outputs() const { return targets_t.rows; }
    index_t trends() const { return basis_t.rows; }
    TileLayout layout() const { return {size(), tile_size}; }
    double noise_at(index_t row) const { return noise.size() == 1 ? noise[0] : noise[row]; }
};

/// The points of one tile.
template <class T>
covariance::Points<T> tile_points(const covariance::Points<T>& points, const TileLayout& layout,
                                  index_t tile) {
    return points.slice(layout.begin(tile), layout.extent(tile));
}

/// Starting the workers costs more than this many operations: smaller work runs on the caller.
inline tasks::RunOptions with_threads_for(tasks::RunOptions options, double flops) {
    constexpr double kWorthwhile = 5e6;
    if (options.recording == nullptr && flops < kWorthwhile) options.threads = 1;
    return options;
}

}  // namespace gprat::gp
