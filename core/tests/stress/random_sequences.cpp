#include "random_sequences.hpp"

#include <cstring>
#include <exception>
#include <map>
#include <stdexcept>
#include <thread>

#include "gprat/error.hpp"
#include "inspector.hpp"

namespace gprat::stress {

namespace {

bool are_same_bits(const Values& a, const Values& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
}

/// Operations of one model, with what one thread alone gets.
template <class T>
struct Reference {
    Reference(Random& random, index_t rows) : model(random, rows) {
        tasks::RunOptions alone;
        alone.threads = 1;
        gp::Posterior<T> posterior(model.problem());
        for (const auto& operation : operations<T>())
            expected.push_back(operation.run(model, posterior, alone));
    }

    Model<T> model;
    std::vector<Values> expected;
};

/// Calls one operation, and adds to the outcome what came of it.
template <class T>
void call(Random& random, const Reference<T>& reference, gp::Posterior<T>& posterior,
          SequenceOutcome& outcome) {
    const index_t which = between(random, 0, std::ssize(operations<T>()) - 1);
    const auto& operation = operations<T>()[which];
    const bool is_cancelled = between(random, 0, 5) == 0;
    const auto inspector =
        std::make_shared<Inspector>(between(random, 0, 2) == 0 ? Delays(random()) : Delays());
    tasks::RunOptions options;
    options.threads = static_cast<int>(between(random, 0, 4));
    options.observer = inspector;
    if (is_cancelled)
        options.should_cancel = [polls = between(random, 0, 1)]() mutable { return polls-- <= 0; };
    ++outcome.operations;
    try {
        const auto values = operation.run(reference.model, posterior, options);
        if (!are_same_bits(values, reference.expected[which]))
            throw std::logic_error(std::string(operation.name) + " depends on threads");
    } catch (const Cancelled&) {
        if (!is_cancelled) throw;
        ++outcome.cancelled;
    }
    for (const auto& conflict : inspector->conflicts())
        throw std::logic_error(std::string(operation.name) + ": " + conflict.later +
                               " did not wait for " + conflict.earlier);
    outcome.graphs += inspector->graphs();
    outcome.tasks += inspector->tasks();
}

/// A matrix without a factor is an error wherever that shows, and the posterior stays usable.
template <class T>
void call_what_fails(Random& random, const Reference<T>& reference, SequenceOutcome& outcome) {
    auto broken = reference.model;
    broken.noise.assign(broken.rows, 0.1);
    broken.noise[between(random, 0, broken.rows - 1)] = -1e3;
    gp::Posterior<T> posterior(broken.problem());
    const index_t which = between(random, 0, std::ssize(operations<T>()) - 1);
    tasks::RunOptions options;
    options.threads = static_cast<int>(between(random, 1, 4));
    const auto& operation = operations<T>()[which];
    if (std::string(operation.name).starts_with("delete")) return;  // may leave out that row
    ++outcome.operations;
    try {
        operation.run(broken, posterior, options);
    } catch (const NotPositiveDefinite&) {
        ++outcome.failed;
        return;
    }
    throw std::logic_error(std::string(operation.name) + " took a matrix that has no factor");
}

template <class T>
SequenceOutcome run_sequence(Random& random) {
    const bool is_large = between(random, 0, 2) > 0;
    const Reference<T> reference(random,
                                 is_large ? between(random, 180, 280) : between(random, 3, 60));
    gp::Posterior<T> posterior(reference.model.problem());
    const index_t callers = between(random, 1, 3);
    std::vector<SequenceOutcome> outcomes(callers);
    std::vector<std::exception_ptr> errors(callers);
    std::vector<std::jthread> threads;
    for (index_t caller = 0; caller < callers; ++caller)
        threads.emplace_back([&, caller, seed = random()] {
            Random own(seed);
            try {
                for (index_t i = between(own, 2, 6); i > 0; --i)
                    call(own, reference, posterior, outcomes[caller]);
                call_what_fails(own, reference, outcomes[caller]);
            } catch (...) {
                errors[caller] = std::current_exception();
            }
        });
    threads.clear();
    SequenceOutcome total;
    for (index_t caller = 0; caller < callers; ++caller) {
        if (errors[caller]) std::rethrow_exception(errors[caller]);
        total.operations += outcomes[caller].operations;
        total.graphs += outcomes[caller].graphs;
        total.tasks += outcomes[caller].tasks;
        total.cancelled += outcomes[caller].cancelled;
        total.failed += outcomes[caller].failed;
    }
    return total;
}

}  // namespace

SequenceOutcome run_random_sequence(Random& random) {
    return between(random, 0, 1) == 0 ? run_sequence<double>(random) : run_sequence<float>(random);
}

}  // namespace gprat::stress
