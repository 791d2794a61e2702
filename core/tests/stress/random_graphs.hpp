#pragma once

#include "operations.hpp"

namespace gprat::stress {

/// What a graph did that was made at random, and what became of it.
struct GraphOutcome {
    index_t graphs = 0;  ///< with those within its tasks
    index_t tasks = 0;
    bool threw = false;
    bool was_cancelled = false;
    bool was_abandoned = false;
};

/// Makes a graph of tasks that mix cells of memory, in ways that depend on the order; some have
/// graphs of their own. Some graphs throw, are cancelled or are left without being run. Throws
/// std::logic_error where the outcome is not one of program order.
GraphOutcome run_random_graph(Random& random);

}  // namespace gprat::stress
