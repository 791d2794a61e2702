// Every allocation of every operation fails once:
//   faults_memory [--rows N] [--step N] [--seed N]
// The caller must get std::bad_alloc, nothing may be left behind, and the same model must answer
// as if nothing had happened. With a step, one in so many allocations is tried.
#include <atomic>
#include <barrier>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "failing_allocator.hpp"
#include "gprat/linalg/page_cache.hpp"
#include "gprat/tasks/runtime.hpp"
#include "operations.hpp"

using namespace gprat;
using namespace gprat::stress;

namespace {

struct Arguments {
    index_t rows = 200;
    index_t step = 1;
    std::uint64_t seed = 1;
};

struct Totals {
    long faults = 0;
    long survived = 0;  ///< faults after which the operation succeeded all the same
    long operations = 0;
};

[[noreturn]] void fail(const char* operation, int threads, long number, const char* what) {
    std::fprintf(stderr, "failed: %s, %d threads, allocation %ld: %s\n", operation, threads, number,
                 what);
    std::exit(1);
}

bool are_same_bits(const Values& a, const Values& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
}

enum class Answer { values, bad_alloc };

/// Who operates: a new posterior, or one that has its factor, or a new one while the runtime isn't
/// running and on a thread that oneTBB doesn't know, where most is to be allocated.
enum class State { fresh, fitted, first_of_all };

template <class T>
class Campaign {
public:
    Campaign(Random& random, const Arguments& arguments, Totals& totals)
        : model_(random, arguments.rows), step_(arguments.step), totals_(totals) {}

    void run(const Operation<T>& operation, State state, int threads) {
        tasks::RunOptions options;
        options.threads = threads;
        std::fprintf(stderr, "%s, %d threads\n", operation.name, threads);
        gp::Posterior<T> posterior(model_.problem());
        const auto expected = operation.run(model_, posterior, options);
        ++totals_.operations;
        for (long number = 1;; number += step_) {
            std::optional<gp::Posterior<T>> fresh;
            if (state != State::fitted) fresh.emplace(model_.problem());
            auto& used = fresh ? *fresh : posterior;
            Values values;
            const auto attempt = [&] {
                return try_with_fault(operation, used, options, number, values);
            };
            const auto [answer, allocations] =
                state == State::first_of_all ? on_a_new_thread(attempt) : attempt();
            if (allocations < number) return;
            ++totals_.faults;
            if (answer == Answer::values) {
                ++totals_.survived;
                if (!are_same_bits(values, expected))
                    fail(operation.name, threads, number, "survived with another result");
            }
            if (!are_same_bits(operation.run(model_, used, options), expected))
                fail(operation.name, threads, number, "another result afterwards");
        }
    }

private:
    template <class Attempt>
    static std::pair<Answer, long> on_a_new_thread(const Attempt& attempt) {
        tasks::Runtime::instance().stop();
        std::pair<Answer, long> result;
        std::thread([&] { result = attempt(); }).join();
        return result;
    }

    std::pair<Answer, long> try_with_fault(const Operation<T>& operation,
                                           gp::Posterior<T>& posterior,
                                           const tasks::RunOptions& options, long number,
                                           Values& values) {
        gprat_faults_begin(number, 0);
        try {
            values = operation.run(model_, posterior, options);
            return {Answer::values, gprat_faults_end()};
        } catch (const std::bad_alloc&) {
            return {Answer::bad_alloc, gprat_faults_end()};
        } catch (const std::exception& error) {
            gprat_faults_end();
            fail(operation.name, options.threads, number, error.what());
        }
    }

    Model<T> model_;
    index_t step_;
    Totals& totals_;
};

template <class T>
void run_all(Random& random, const Arguments& arguments, Totals& totals) {
    Campaign<T> campaign(random, arguments, totals);
    for (const auto& operation : operations<T>())
        for (const int threads : {1, 2})
            for (const State state : {State::fresh, State::fitted, State::first_of_all})
                campaign.run(operation, state, threads);
}

/// All allocations fail from a task on that makes thousands of others ready, so that nobody can be
/// asked to come for them: the worker that is there does them all.
[[maybe_unused]] void run_without_memory() {
    constexpr int kReady = 5000;
    std::atomic<int> done{0};
    {
        tasks::RunOptions options;
        options.threads = 2;
        tasks::TaskGraph graph(options);
        const tasks::Handle gate = graph.new_handles(1);
        // oneTBB ends the process when there's no memory for a new thread's own: both run by now.
        std::atomic<int> started{0};
        for (int i = 0; i < 2; ++i)
            graph.add({"start"}, 0, {}, {}, [&started] {
                ++started;
                while (started < 2) std::this_thread::yield();
            });
        std::atomic<bool> open{false};
        graph.add({"gate"}, 0, {}, {gate}, [&] {
            while (!open) std::this_thread::yield();
            gprat_faults_of_onetbb(1);
            gprat_faults_begin(1, kReady);
        });
        for (int i = 0; i < kReady; ++i) graph.add({"ready"}, 0, {gate}, {}, [&done] { ++done; });
        open = true;
        graph.run();
    }
    gprat_faults_of_onetbb(0);
    if (gprat_faults_end() == 0) fail("tasks without memory", 2, 0, "nothing was asked for");
    if (done != kReady) fail("tasks without memory", 2, 0, "some were lost");
}

/// glibc keeps stacks of threads that have ended, with memory that the loader made for each: up to
/// 40 MiB of them, but no more than lived at a time. From here on so many are kept in any case.
void fill_cache_of_stacks() {
    constexpr int kThreads = 64;
    std::barrier everybody(kThreads);
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i) threads.emplace_back([&] { everybody.arrive_and_wait(); });
}

/// Memory that is left when the workers have gone, whatever they kept for their next task.
long live_at_rest() {
    tasks::Runtime::instance().stop();
    PageCache::instance().clear();
    fill_cache_of_stacks();
    return gprat_faults_live();
}

Arguments parse(int count, char** values) {
    Arguments arguments;
    for (int i = 1; i + 1 < count; i += 2) {
        const std::string name = values[i];
        if (name == "--rows") arguments.rows = std::atoll(values[i + 1]);
        if (name == "--step") arguments.step = std::atoll(values[i + 1]);
        if (name == "--seed") arguments.seed = std::strtoull(values[i + 1], nullptr, 10);
    }
    return arguments;
}

}  // namespace

int main(int count, char** values) {
    const auto arguments = parse(count, values);
    Random random(arguments.seed);
    Totals warm_up, totals;
    Arguments once = arguments;
    once.step = 1 << 30;
    tasks::Runtime::instance().start(2);
    {
        Random same = random;
        run_all<double>(same, once, warm_up);
    }
    const long before = live_at_rest();
    tasks::Runtime::instance().start(2);
    {
        Random same = random;
        run_all<double>(same, arguments, totals);
    }
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // whose malloc never fails
    run_without_memory();
#endif
    const long leaked = live_at_rest() - before;
    std::printf("{\"operations\": %ld, \"faults\": %ld, \"survived\": %ld, \"leaked\": %ld}\n",
                totals.operations, totals.faults, totals.survived, leaked);
    return leaked > 0 ? 1 : 0;
}
