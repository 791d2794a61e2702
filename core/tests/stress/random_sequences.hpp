#pragma once

#include "operations.hpp"

namespace gprat::stress {

struct SequenceOutcome {
    index_t operations = 0;
    index_t graphs = 0;
    index_t tasks = 0;
    index_t cancelled = 0;
    index_t failed = 0;  ///< as planned: matrices that are not positive definite
};

/// Runs operations in random order on a random model, from one or more threads that share its
/// posterior, with random numbers of threads and tasks delayed; some are cancelled, some fail.
/// Throws std::logic_error where a result is not bit for bit that of one thread alone, or tasks in
/// conflict overlapped.
SequenceOutcome run_random_sequence(Random& random);

}  // namespace gprat::stress
