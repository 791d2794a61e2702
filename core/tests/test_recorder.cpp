// What the recorder keeps of random graphs, against what their reads and writes say.
#include <algorithm>
#include <atomic>
#include <random>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "check.hpp"
#include "gprat/tasks/recorder.hpp"
#include "gprat/tasks/runtime.hpp"
#include "gprat/tasks/task_graph.hpp"

using namespace gprat::tasks;
using gprat::index_t;

namespace {

constexpr index_t kCells = 17;

struct RandomTask {
    std::vector<Handle> reads;
    std::vector<Handle> writes;
};

std::vector<RandomTask> random_tasks(unsigned seed, index_t count) {
    std::mt19937 random(seed);
    const auto some_cells = [&](unsigned most) {
        std::vector<Handle> cells(random() % (most + 1));
        for (auto& cell : cells) cell = static_cast<Handle>(random() % kCells);
        return cells;
    };
    std::vector<RandomTask> tasks;
    for (index_t i = 0; i < count; ++i) tasks.push_back({some_cells(3), some_cells(2)});
    return tasks;
}

bool intersect(const std::vector<Handle>& a, const std::vector<Handle>& b) {
    return std::any_of(a.begin(), a.end(),
                       [&](Handle h) { return std::find(b.begin(), b.end(), h) != b.end(); });
}

bool must_wait(const RandomTask& later, const RandomTask& earlier) {
    return intersect(later.reads, earlier.writes) || intersect(later.writes, earlier.writes) ||
           intersect(later.writes, earlier.reads);
}

/// While it lives, all new graphs are recorded.
struct Recording {
    explicit Recording(index_t max_tasks) : recorder(std::make_shared<Recorder>(max_tasks)) {
        set_observer(recorder);
    }
    ~Recording() { set_observer(nullptr); }
    std::shared_ptr<Recorder> recorder;
};

/// Tasks that take a microsecond or so, labelled by their place in program order.
void run(const std::vector<RandomTask>& tasks, int threads) {
    TaskGraph graph({threads, {}});
    graph.new_handles(kCells);
    std::atomic<unsigned> work{0};
    for (std::size_t i = 0; i < tasks.size(); ++i)
        graph.add({"random", static_cast<index_t>(i), 0, 0.5 * static_cast<double>(i)}, 0,
                  tasks[i].reads, tasks[i].writes, [&work] {
                      for (int k = 0; k < 200; ++k) work.fetch_add(1, std::memory_order_relaxed);
                  });
    graph.run();
}

void check_times_and_threads(const std::vector<TaskRecord>& records, int threads) {
    for (std::size_t i = 0; i < records.size(); ++i) {
        const auto& record = records[i];
        CHECK(0.0 < record.start && record.start <= record.end);
        CHECK(i == 0 || records[i - 1].end <= record.end);
        CHECK(record.thread >= 0 && record.thread < threads);
        const auto by = record.released_by;
        CHECK(kNoRun <= by && by < static_cast<RunId>(i));
        if (by == kNoRun) continue;
        CHECK(records[by].end <= record.start);
        CHECK(records[by].graph == record.graph);
    }
}

void test_every_task_once_and_released_by_one_it_waits_for() {
    for (const int threads : {1, 2, 4}) {
        const auto tasks = random_tasks(static_cast<unsigned>(threads), 3000);
        const Recording recording(1 << 20);
        run(tasks, threads);
        const auto records = recording.recorder->records();
        CHECK(records.size() == tasks.size());
        CHECK(recording.recorder->lost() == 0);
        CHECK(recording.recorder->threads() == threads);
        check_times_and_threads(records, threads);
        std::set<index_t> seen;
        index_t released = 0;
        for (const auto& record : records) {
            seen.insert(record.label.row);
            CHECK(record.label.work == 0.5 * static_cast<double>(record.label.row));
            if (record.released_by == kNoRun) continue;
            ++released;
            const index_t before = records[record.released_by].label.row;
            CHECK(before < record.label.row);
            if (threads == 1)
                CHECK(before == record.label.row - 1);
            else
                CHECK(must_wait(tasks[record.label.row], tasks[before]));
        }
        CHECK(seen.size() == tasks.size());
        CHECK(threads > 1 || released == static_cast<index_t>(tasks.size()) - 1);
    }
}

void test_whoever_waits_knows_for_whom() {
    const Recording recording(100);
    TaskGraph graph({2, {}});
    const Handle cell = graph.new_handles(1);
    std::atomic<bool> open{false};
    graph.add({"first"}, 0, {}, {cell}, [&] {
        while (!open) std::this_thread::yield();
    });
    for (index_t i = 1; i < 20; ++i) graph.add({"next", i}, 0, {}, {cell}, [] {});
    open = true;
    graph.run();
    const auto records = recording.recorder->records();
    CHECK(records.size() == 20);
    for (index_t i = 0; i < 20; ++i) {
        CHECK(records[i].label.row == i);
        CHECK(records[i].released_by == i - 1);
    }
}

void test_what_exceeds_the_limit_is_counted() {
    for (const int threads : {1, 4})
        for (const index_t most : {index_t{1}, index_t{100}, index_t{5000}}) {
            const Recording recording(most);
            run(random_tasks(7, 6000), threads);
            const auto records = recording.recorder->records();
            CHECK(static_cast<index_t>(records.size()) == most);
            CHECK(recording.recorder->ended() == 6000);
            CHECK(recording.recorder->lost() == 6000 - most);
            check_times_and_threads(records, threads);
        }
}

void test_a_task_that_fails_is_kept_and_what_it_cancels_is_not() {
    for (const int threads : {1, 2}) {
        const Recording recording(100);
        TaskGraph graph({threads, {}});
        const Handle cell = graph.new_handles(1);
        graph.add({"fails"}, 0, {}, {cell}, [] { throw std::runtime_error("boom"); });
        for (int i = 0; i < 10; ++i) graph.add({"after"}, 0, {}, {cell}, [] {});
        bool thrown = false;
        try {
            graph.run();
        } catch (const std::runtime_error&) {
            thrown = true;
        }
        CHECK(thrown);
        const auto records = recording.recorder->records();
        CHECK(records.size() == 1);
        CHECK(std::string_view(records.front().label.name) == "fails");
    }
}

void test_graphs_of_several_threads_are_told_apart_while_records_are_read() {
    const Recording recording(1 << 20);
    std::atomic<int> running{4};
    std::vector<std::thread> callers;
    for (unsigned seed = 0; seed < 4; ++seed)
        callers.emplace_back([seed, &running] {
            run(random_tasks(seed, 4000), seed == 0 ? 1 : 2);
            --running;
        });
    while (running > 0) check_times_and_threads(recording.recorder->records(), 2);
    for (auto& caller : callers) caller.join();
    const auto records = recording.recorder->records();
    CHECK(records.size() == 4 * 4000);
    check_times_and_threads(records, 2);
    for (index_t graph = 0; graph < 4; ++graph)
        CHECK(std::count_if(records.begin(), records.end(),
                            [graph](const auto& record) { return record.graph == graph; }) == 4000);
}

void test_an_unused_recorder_is_empty() {
    const Recording recording(10);
    CHECK(recording.recorder->records().empty());
    CHECK(recording.recorder->ended() == 0);
    CHECK(recording.recorder->lost() == 0);
    CHECK(recording.recorder->threads() == 0);
}

}  // namespace

int main() {
    Runtime::instance().start(4);
    test_every_task_once_and_released_by_one_it_waits_for();
    test_whoever_waits_knows_for_whom();
    test_what_exceeds_the_limit_is_counted();
    test_a_task_that_fails_is_kept_and_what_it_cancels_is_not();
    test_graphs_of_several_threads_are_told_apart_while_records_are_read();
    test_an_unused_recorder_is_empty();
    Runtime::instance().stop();
    return gprat::check::report();
}
