// Recorded edges against all pairs of tasks, and simulated schedules against the scheduler's rules.
#include <algorithm>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "check.hpp"
#include "gprat/error.hpp"
#include "gprat/gp/record.hpp"
#include "gprat/tasks/recording.hpp"
#include "gprat/tasks/simulator.hpp"
#include "gprat/tasks/task_graph.hpp"

using namespace gprat::tasks;
using gprat::index_t;

namespace {

struct Accesses {
    std::set<Handle> reads;
    std::set<Handle> writes;
};

std::vector<Accesses> random_accesses(unsigned seed, int count) {
    constexpr unsigned kCells = 12;
    std::mt19937 random(seed);
    std::vector<Accesses> tasks(count);
    for (auto& [reads, writes] : tasks) {
        for (unsigned i = random() % 4; i > 0; --i) reads.insert(random() % kCells);
        for (unsigned i = random() % 3; i > 0; --i) writes.insert(random() % kCells);
    }
    return tasks;
}

Recording record(const std::vector<Accesses>& tasks, std::mt19937& random) {
    Recording recording(3, 5);
    RunOptions options;
    options.recording = &recording;
    TaskGraph graph(options);
    CHECK(graph.threads() == 3);
    CHECK(graph.processors() == 5);
    graph.new_handles(12, 8.0);
    bool ran = false;
    for (const auto& [reads, writes] : tasks) {
        const std::vector<Handle> r(reads.begin(), reads.end()), w(writes.begin(), writes.end());
        graph.add({"task"}, static_cast<Rank>(random() % 9), r, w, [&ran] { ran = true; });
    }
    graph.run();
    CHECK(!ran);
    return recording;
}

/// Whoever wrote a cell last, and for one that is written whoever has read it since.
std::set<std::int32_t> conflicts(const std::vector<Accesses>& tasks, int task) {
    std::set<std::int32_t> found;
    const auto search = [&](Handle cell, bool with_readers) {
        for (int before = task - 1; before >= 0; --before) {
            if (with_readers && tasks[before].reads.contains(cell)) found.insert(before);
            if (!tasks[before].writes.contains(cell)) continue;
            found.insert(before);
            return;
        }
    };
    for (const Handle cell : tasks[task].reads) search(cell, false);
    for (const Handle cell : tasks[task].writes) search(cell, true);
    return found;
}

void test_recorded_edges_are_those_of_the_accesses() {
    for (unsigned seed = 0; seed < 20; ++seed) {
        std::mt19937 random(seed);
        const auto tasks = random_accesses(seed, 200);
        const auto recording = record(tasks, random);
        CHECK(recording.tasks().size() == tasks.size());
        for (int i = 0; i < std::ssize(tasks); ++i) {
            const auto first = recording.predecessors().begin();
            const std::vector<std::int32_t> edges(first + recording.offsets()[i],
                                                  first + recording.offsets()[i + 1]);
            const auto expected = conflicts(tasks, i);
            CHECK(std::ranges::equal(edges, expected));
            auto cells = tasks[i].reads;
            cells.insert(tasks[i].writes.begin(), tasks[i].writes.end());
            CHECK(recording.tasks()[i].bytes == 8.0 * static_cast<double>(cells.size()));
        }
    }
}

std::vector<index_t> ranks_of(const Recording& recording) {
    std::vector<index_t> ranks;
    for (const auto& task : recording.tasks()) ranks.push_back(task.rank);
    return ranks;
}

std::vector<double> some_seconds(std::size_t count, std::mt19937& random) {
    std::uniform_real_distribution<double> uniform(0.0, 2.0);
    std::vector<double> seconds(count);
    for (auto& value : seconds) value = uniform(random);
    return seconds;
}

void test_schedules_keep_the_rules() {
    for (unsigned seed = 0; seed < 20; ++seed) {
        std::mt19937 random(seed);
        const auto recording = record(random_accesses(seed, 300), random);
        const auto ranks = ranks_of(recording);
        const auto seconds = some_seconds(ranks.size(), random), bytes = seconds;
        const TimedGraph graph{ranks, recording.predecessors(), recording.offsets(), seconds,
                               bytes};
        const SimulatedMachine machine{1 + static_cast<int>(seed % 5), 0.01, 0.003, 0.0};
        const auto schedule = simulate(graph, machine);
        const bool parallel = machine.threads > 1;
        for (std::size_t i = 0; i < ranks.size(); ++i) {
            CHECK_CLOSE(schedule.end[i] - schedule.start[i], seconds[i], 1e-9);
            CHECK(schedule.thread[i] >= 0 && schedule.thread[i] < machine.threads);
            if (parallel) CHECK(schedule.start[i] >= 0.01 * static_cast<double>(i) + 0.003 - 1e-9);
            double ready = parallel ? 0.01 * static_cast<double>(i) : 0.0;
            for (index_t e = graph.offsets[i]; e < graph.offsets[i + 1]; ++e) {
                CHECK(schedule.end[graph.predecessors[e]] <= schedule.start[i] + 1e-12);
                ready = std::max(ready, schedule.end[graph.predecessors[e]]);
            }
            for (std::size_t j = 0; j < ranks.size(); ++j) {
                if (j == i) continue;
                if (schedule.thread[i] == schedule.thread[j])
                    CHECK(schedule.end[i] <= schedule.start[j] ||
                          schedule.end[j] <= schedule.start[i]);
                // Nobody overtakes a more urgent task that is ready.
                const bool more_urgent = std::pair(ranks[i], i) < std::pair(ranks[j], j);
                if (parallel && more_urgent && schedule.start[j] - 0.003 > ready + 1e-9)
                    CHECK(schedule.start[i] <= schedule.start[j]);
            }
        }
    }
}

void test_bandwidth_is_shared() {
    const std::vector<index_t> ranks(4, 0), offsets(5, 0);
    const std::vector<std::int32_t> none;
    const std::vector<double> seconds(4, 1.0), bytes(4, 6.0);
    const TimedGraph graph{ranks, none, offsets, seconds, bytes};
    // 6 bytes at 4 a second take 1.5 seconds alone and 3 beside another.
    const auto two = simulate(graph, {2, 0.0, 0.0, 4.0});
    CHECK_CLOSE(two.end[0] - two.start[0], 1.5, 1e-12);
    CHECK_CLOSE(two.end[1] - two.start[1], 3.0, 1e-12);
    const auto one = simulate(graph, {1, 0.0, 0.0, 4.0});
    CHECK_CLOSE(one.end[3], 6.0, 1e-12);
}

void test_the_longest_path() {
    const std::vector<index_t> ranks(4, 0), offsets{0, 0, 1, 2, 4};
    const std::vector<std::int32_t> before{0, 0, 1, 2};
    const std::vector<double> seconds{1.0, 2.0, 5.0, 1.0};
    const auto ends = earliest_ends({ranks, before, offsets, seconds, seconds});
    CHECK((ends == std::vector<double>{1.0, 3.0, 6.0, 7.0}));
}

void test_the_adding_thread_waits_while_many_tasks_wait() {
    const std::size_t count = 2 * kMaxOutstanding;
    const std::vector<index_t> ranks(count, 0), offsets(count + 1, 0);
    const std::vector<std::int32_t> none;
    const std::vector<double> seconds(count, 1.0), bytes(count, 0.0);
    auto later_first = ranks;
    for (std::size_t i = 0; i < count; ++i) later_first[i] = -static_cast<index_t>(i);
    const auto schedule = simulate({later_first, none, offsets, seconds, bytes}, {2, 0.0, 0.0});
    // The last task, though the most urgent, is added only after half of the first have ended.
    CHECK(schedule.start.back() >= static_cast<double>(kMaxOutstanding / 4) - 1.0);
    CHECK_CLOSE(*std::ranges::max_element(schedule.end), static_cast<double>(count) / 2.0, 1e-6);
}

void test_operations_are_recorded_without_memory() {
    using gprat::gp::Operation;
    for (const auto operation :
         {Operation::fit, Operation::predict, Operation::variance, Operation::covariance}) {
#if defined(__SANITIZE_THREAD__)
        // All addresses that this sanitizer leaves to a program are one or two TB.
        const index_t n = 200'000;
#else
        // A triangle of 5 TB, and as much again where all test points are kept.
        const index_t n = 1'000'000;
#endif
        Recording recording(64, 64);
        gprat::gp::record<double>(operation, {n, 8, n, 1, 10, n / 7}, recording);
        CHECK(recording.tasks().size() > 28 + 28);
        CHECK(recording.offsets().size() == recording.tasks().size() + 1);
    }
}

void test_what_fits_no_graph_is_refused() {
    const std::vector<index_t> ranks(2, 0), offsets{0, 1, 1};
    const std::vector<std::int32_t> before{1};
    const std::vector<double> seconds(2, 1.0), negative(2, -1.0), few(1, 1.0);
    const std::vector<index_t> good{0, 0, 0};
    const std::vector<std::int32_t> none;
    const auto refused = [](const TimedGraph& graph, const SimulatedMachine& machine) {
        try {
            simulate(graph, machine);
        } catch (const gprat::InvalidArgument&) {
            return true;
        }
        return false;
    };
    CHECK(refused({ranks, before, offsets, seconds, seconds}, {2}));
    CHECK(refused({ranks, none, good, negative, seconds}, {2}));
    CHECK(refused({ranks, none, good, few, seconds}, {2}));
    CHECK(refused({ranks, none, good, seconds, seconds}, {0}));
    CHECK(!refused({ranks, none, good, seconds, seconds}, {2}));
}

}  // namespace

int main() {
    test_recorded_edges_are_those_of_the_accesses();
    test_schedules_keep_the_rules();
    test_bandwidth_is_shared();
    test_the_longest_path();
    test_the_adding_thread_waits_while_many_tasks_wait();
    test_operations_are_recorded_without_memory();
    test_what_fits_no_graph_is_refused();
    return gprat::check::report();
}
