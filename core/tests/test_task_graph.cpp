// Random graphs against what sequential execution would have done, in parallel and inline.
#include <atomic>
#include <chrono>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "check.hpp"
#include "gprat/error.hpp"
#include "gprat/tasks/runtime.hpp"
#include "gprat/tasks/task_graph.hpp"

using namespace gprat::tasks;
using gprat::index_t;

namespace {

constexpr index_t kCells = 23;

struct RandomTask {
    std::vector<Handle> reads;
    std::vector<Handle> writes;
    unsigned salt;
};

std::vector<RandomTask> random_tasks(unsigned seed, int count) {
    std::mt19937 random(seed);
    const auto some_cells = [&](unsigned most) {
        std::vector<Handle> cells;
        for (unsigned i = random() % (most + 1); i > 0; --i)
            cells.push_back(static_cast<Handle>(random() % kCells));
        return cells;
    };
    std::vector<RandomTask> tasks;
    for (int i = 0; i < count; ++i)
        tasks.push_back({some_cells(4), some_cells(2), static_cast<unsigned>(random())});
    return tasks;
}

// Mixing is not commutative: any order that breaks an edge gives other numbers.
void mix(std::vector<unsigned>& cells, const RandomTask& task) {
    unsigned sum = task.salt;
    for (const auto cell : task.reads) sum = sum * 31U + cells[cell];
    for (const auto cell : task.writes) cells[cell] = (cells[cell] ^ sum) * 2654435761U;
}

void test_results_are_those_of_program_order() {
    for (unsigned seed = 0; seed < 40; ++seed) {
        const auto tasks = random_tasks(seed, 1500);
        std::vector<unsigned> expected(kCells, 1U);
        for (const auto& task : tasks) mix(expected, task);
        for (const int threads : {1, 2, 4}) {
            std::vector<unsigned> cells(kCells, 1U);
            TaskGraph graph({threads, {}});
            const Handle first = graph.new_handles(kCells);
            CHECK(first == 0);
            for (const auto& task : tasks)
                graph.add({"mix"}, static_cast<Rank>(task.salt % 7), task.reads, task.writes,
                          [&cells, &task] { mix(cells, task); });
            graph.run();
            CHECK(cells == expected);
        }
    }
}

void test_first_exception_cancels_and_is_rethrown_once() {
    for (const int threads : {1, 2, 4}) {
        TaskGraph graph({threads, {}});
        const Handle cell = graph.new_handles(1);
        std::atomic<int> after{0};
        graph.add({"fail"}, 0, {}, {cell}, [] { throw std::runtime_error("boom"); });
        for (int i = 0; i < 100; ++i) graph.add({"after"}, 0, {cell}, {cell}, [&] { ++after; });
        bool thrown = false;
        try {
            graph.run();
        } catch (const std::runtime_error& error) {
            thrown = std::string(error.what()) == "boom";
        }
        CHECK(thrown);
        CHECK(after == 0);
    }
}

void test_cancel_from_outside() {
    for (const int threads : {1, 2}) {
        bool stop = false;
        TaskGraph graph({threads, [&stop] { return stop; }});
        const Handle cell = graph.new_handles(1);
        std::atomic<int> count{0};
        bool cancelled = false;
        try {
            for (int i = 0; i < 200; ++i) {
                stop = i > 20;
                graph.add({"sleep"}, 0, {}, {cell}, [&] {
                    std::this_thread::sleep_for(std::chrono::milliseconds(5));
                    ++count;
                });
            }
            graph.run();
        } catch (const gprat::Cancelled&) {
            cancelled = true;
        }
        CHECK(cancelled);
        CHECK(count < 200);
    }
}

void test_an_abandoned_graph_waits_for_its_tasks() {
    std::atomic<bool> done{false};
    {
        TaskGraph graph({2, {}});
        std::atomic<bool> started{false};
        graph.add({"sleep"}, 0, {}, {}, [&] {
            started = true;
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            done = true;
        });
        while (!started) std::this_thread::yield();
    }
    CHECK(done);
}

void test_urgent_tasks_go_first() {
    std::vector<index_t> order;
    TaskGraph graph({2, {}});
    const Handle gate = graph.new_handles(2);
    std::atomic<bool> open{false};
    const auto wait = [&] {
        while (!open) std::this_thread::yield();
    };
    // Both workers wait behind the gate while the rest becomes ready; one of them is then kept
    // busy.
    std::atomic<bool> finished{false};
    graph.add({"gate"}, 0, {}, {gate}, wait);
    graph.add({"busy"}, 0, {}, {gate + 1}, [&] {
        while (!finished) std::this_thread::yield();
    });
    for (index_t rank = 50; rank > 0; --rank)
        graph.add({"ranked"}, rank, {gate}, {}, [&order, rank] { order.push_back(rank); });
    graph.add({"last"}, 100, {gate}, {}, [&] { finished = true; });
    open = true;
    graph.run();
    CHECK(order.size() == 50);
    CHECK(std::is_sorted(order.begin(), order.end()));
}

void test_runtime_starts_stops_and_restarts() {
    auto& runtime = Runtime::instance();
    runtime.stop();
    runtime.stop();
    CHECK(!runtime.is_running());
    runtime.start(3);
    CHECK(runtime.threads() == 3);
    runtime.stop();
    std::atomic<int> count{0};
    {
        TaskGraph graph({2, {}});
        for (int i = 0; i < 10; ++i) graph.add({"count"}, 0, {}, {}, [&] { ++count; });
        graph.run();
    }
    CHECK(count == 10);
    CHECK(runtime.is_running());
    CHECK(runtime.threads() == 3);
    runtime.start(4);
}

void test_suspended_work_waits_for_resume() {
    auto& runtime = Runtime::instance();
    for (const int threads : {1, 2}) {
        runtime.suspend();
        std::atomic<int> count{0};
        std::thread worker([&] {
            TaskGraph graph({threads, {}});
            for (int i = 0; i < 10; ++i) graph.add({"count"}, 0, {}, {}, [&] { ++count; });
            graph.run();
        });
        std::this_thread::sleep_for(std::chrono::milliseconds(30));
        CHECK(count == 0);
        runtime.resume();
        worker.join();
        CHECK(count == 10);
    }
}

void test_graphs_from_several_threads() {
    std::vector<std::thread> callers;
    std::atomic<int> right{0};
    for (unsigned seed = 100; seed < 104; ++seed)
        callers.emplace_back([seed, &right] {
            const auto tasks = random_tasks(seed, 2000);
            std::vector<unsigned> expected(kCells, 1U);
            for (const auto& task : tasks) mix(expected, task);
            std::vector<unsigned> cells(kCells, 1U);
            TaskGraph graph({2, {}});
            graph.new_handles(kCells);
            for (const auto& task : tasks)
                graph.add({"mix"}, 0, task.reads, task.writes, [&] { mix(cells, task); });
            graph.run();
            right += cells == expected;
        });
    for (auto& caller : callers) caller.join();
    CHECK(right == 4);
}

}  // namespace

int main() {
    Runtime::instance().start(4);
    test_results_are_those_of_program_order();
    test_first_exception_cancels_and_is_rethrown_once();
    test_cancel_from_outside();
    test_an_abandoned_graph_waits_for_its_tasks();
    test_urgent_tasks_go_first();
    test_runtime_starts_stops_and_restarts();
    test_suspended_work_waits_for_resume();
    test_graphs_from_several_threads();
    Runtime::instance().stop();
    return gprat::check::report();
}
