#pragma once

#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "gprat/covariance/kernel.hpp"
#include "gprat/gp/posterior.hpp"
#include "gprat/gp/problem.hpp"
#include "gprat/tasks/task_graph.hpp"

namespace gprat::stress {

using Random = std::mt19937_64;

/// A whole number in [least, most].
inline index_t between(Random& random, index_t least, index_t most) {
    return std::uniform_int_distribution<index_t>(least, most)(random);
}

/// Data, kernel and noise at random, and points to predict at.
template <class T>
struct Model {
    /// So many rows that operations use several threads, or few.
    Model(Random& random, index_t rows);

    gp::Problem<T> problem() const;
    /// With some of the rows only, which are ascending.
    Model select(const std::vector<index_t>& kept) const;
    gp::TestPoints<T> test() const;
    /// A right-hand side that depends on nothing but its size.
    std::vector<T> columns(index_t count) const;

    index_t rows, dimension, outputs, trends, tile_size, test_count;
    std::vector<T> x, targets_t, basis_t, test_x, test_basis_t;
    std::vector<double> noise;
    std::shared_ptr<const covariance::Kernel<T>> kernel;
};

/// Everything that an operation returns, as numbers that are compared bit for bit.
using Values = std::vector<double>;

/// One call of the public interface. The posterior is that of all of the model's rows, and may
/// already have its factor.
template <class T>
struct Operation {
    const char* name;
    std::function<Values(const Model<T>&, gp::Posterior<T>&, const tasks::RunOptions&)> run;
};

/// All operations that the core has for a model.
template <class T>
const std::vector<Operation<T>>& operations();

}  // namespace gprat::stress
