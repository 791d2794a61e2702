#pragma once

#include <string>
#include <vector>

#include "gprat/types.hpp"

/// How long things take on this machine: what predictions of run times and the choice of the tile
/// size start from.
namespace gprat::calibration {

/// The work that tasks are timed on: a model with an RBF kernel, a length scale a feature, and
/// random data.
struct Workload {
    index_t size;  ///< training points
    index_t features;
    index_t test_points;
    index_t right_hand_sides;  ///< columns of a system that is solved
    index_t tile_size;
    int threads;  ///< that do all of it at the same time, each for itself
};

/// A task that ran.
struct TaskTime {
    const char* name;  ///< and `work`: as in its label
    double work;
    double seconds;
};

/// Runs the gradient of the likelihood, the three predictions and a solve; every task, on all
/// threads. The loop nests are the real ones, so no kind of task is forgotten. Threads share
/// nothing but the machine: caches, memory and clock.
template <class T>
std::vector<TaskTime> measure_tasks(const Workload& workload);

/// What a graph costs beside its tasks, in seconds a task with some ten edges.
struct GraphCosts {
    double submission;  ///< the thread that adds
    double scheduling;  ///< a worker
};
GraphCosts measure_graph(int threads);

/// Bytes a second of all threads together.
struct MemoryRates {
    double first_touch;  ///< pages that the system has to clear
    double read;
};
MemoryRates measure_memory(int threads);

}  // namespace gprat::calibration
