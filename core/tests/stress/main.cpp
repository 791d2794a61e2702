// Random task graphs and random sequences of operations, for as long as one likes:
//   stress [--seed N] [--rounds N] [--seconds S]
// Round r of seed s is round 0 of seed s + r, so that a failure is repeated alone.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <random>
#include <string>
#include <thread>

#include "gprat/linalg/page_cache.hpp"
#include "gprat/tasks/runtime.hpp"
#include "random_graphs.hpp"
#include "random_sequences.hpp"

using namespace gprat;
using namespace gprat::stress;

namespace {

struct Arguments {
    std::uint64_t seed = std::random_device{}();
    index_t rounds = -1;
    double seconds = -1.0;
};

struct Totals {
    index_t rounds = 0, graphs = 0, tasks = 0, exceptions = 0, cancellations = 0, abandoned = 0,
            operations = 0;

    void add(const GraphOutcome& outcome) {
        graphs += outcome.graphs;
        tasks += outcome.tasks;
        exceptions += outcome.threw;
        cancellations += outcome.was_cancelled;
        abandoned += outcome.was_abandoned;
    }
    void add(const SequenceOutcome& outcome) {
        graphs += outcome.graphs;
        tasks += outcome.tasks;
        exceptions += outcome.failed;
        cancellations += outcome.cancelled;
        operations += outcome.operations;
    }
};

/// Many graphs from many threads at once, with the runtime's own verbs among them.
void run_graphs(Random& random, Totals& totals) {
    std::mutex mutex;
    std::exception_ptr error;
    {
        std::vector<std::jthread> callers;
        for (index_t caller = between(random, 1, 6); caller > 0; --caller)
            callers.emplace_back([&, seed = random()] {
                Random own(seed);
                try {
                    for (int i = 0; i < 6; ++i) {
                        const auto outcome = run_random_graph(own);
                        const std::lock_guard lock(mutex);
                        totals.add(outcome);
                    }
                } catch (...) {
                    const std::lock_guard lock(mutex);
                    error = std::current_exception();
                }
            });
        auto& runtime = tasks::Runtime::instance();
        if (between(random, 0, 3) == 0) runtime.start(static_cast<int>(between(random, 1, 5)));
        if (between(random, 0, 7) == 0) runtime.suspend();
        if (between(random, 0, 7) == 0) runtime.stop();
        runtime.resume();
    }
    if (error) std::rethrow_exception(error);
}

void run_round(std::uint64_t seed, Totals& totals) {
    Random random(seed);
    tasks::Runtime::instance().start(static_cast<int>(between(random, 2, 4)));
    run_graphs(random, totals);
    totals.add(run_random_sequence(random));
    ++totals.rounds;
}

Arguments parse(int count, char** values) {
    Arguments arguments;
    for (int i = 1; i + 1 < count; i += 2) {
        const std::string name = values[i];
        if (name == "--seed")
            arguments.seed = std::strtoull(values[i + 1], nullptr, 10);
        else if (name == "--rounds")
            arguments.rounds = std::atoll(values[i + 1]);
        else if (name == "--seconds")
            arguments.seconds = std::atof(values[i + 1]);
    }
    if (arguments.rounds < 0 && arguments.seconds < 0.0) arguments.rounds = 10;
    return arguments;
}

void print(const Totals& totals, std::uint64_t seed) {
    std::printf(
        "{\"seed\": %llu, \"rounds\": %lld, \"graphs\": %lld, \"tasks\": %lld, \"operations\": "
        "%lld, \"exceptions\": %lld, \"cancellations\": %lld, \"abandoned\": %lld}\n",
        static_cast<unsigned long long>(seed), static_cast<long long>(totals.rounds),
        static_cast<long long>(totals.graphs), static_cast<long long>(totals.tasks),
        static_cast<long long>(totals.operations), static_cast<long long>(totals.exceptions),
        static_cast<long long>(totals.cancellations), static_cast<long long>(totals.abandoned));
}

}  // namespace

int main(int count, char** values) {
    const auto arguments = parse(count, values);
    const auto start = std::chrono::steady_clock::now();
    const auto is_over = [&](index_t round) {
        const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
        return (arguments.rounds >= 0 && round >= arguments.rounds) ||
               (arguments.seconds >= 0.0 && passed.count() >= arguments.seconds);
    };
    Totals totals;
    for (index_t round = 0; !is_over(round); ++round) {
        const auto seed = arguments.seed + static_cast<std::uint64_t>(round);
        // Before the round: a sanitizer ends the program at its first finding.
        std::fprintf(stderr, "stress --seed %llu --rounds 1\n",
                     static_cast<unsigned long long>(seed));
        try {
            run_round(seed, totals);
        } catch (const std::exception& error) {
            std::fprintf(stderr, "failed: %s\n", error.what());
            return 1;
        }
    }
    tasks::Runtime::instance().stop();
    PageCache::instance().clear();
    print(totals, arguments.seed);
    return 0;
}
