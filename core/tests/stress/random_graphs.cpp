#include "random_graphs.hpp"

#include <array>
#include <atomic>
#include <optional>
#include <stdexcept>
#include <thread>

#include "gprat/error.hpp"
#include "inspector.hpp"

namespace gprat::stress {

namespace {

using tasks::Handle;
using tasks::TaskGraph;

/// Thrown by a task that is to fail.
struct Planned : std::runtime_error {
    Planned() : std::runtime_error("planned") {}
};

/// Memory that tasks share. Several words each, so that torn reads show.
using Cell = std::array<std::uint32_t, 8>;

struct MixingTask {
    std::vector<Handle> reads;
    std::vector<Handle> writes;
    std::uint32_t salt;
    index_t rank;
    index_t inner_tasks;  ///< of a graph within the task; 0: there's none
};

std::vector<Handle> some_cells(Random& random, index_t cells, index_t most) {
    std::vector<Handle> chosen(between(random, 0, most));
    for (auto& cell : chosen) cell = between(random, 0, cells - 1);
    return chosen;
}

std::vector<MixingTask> random_tasks(Random& random, index_t cells) {
    std::vector<MixingTask> made(between(random, 0, 3) == 0 ? between(random, 0, 3)
                                                            : between(random, 4, 600));
    for (auto& task : made)
        task = {some_cells(random, cells, 4), some_cells(random, cells, 3),
                static_cast<std::uint32_t>(random()), between(random, 0, 9),
                between(random, 0, 19) == 0 ? between(random, 1, 9) : 0};
    return made;
}

/// No two orders of tasks give the same numbers.
void mix(std::vector<Cell>& cells, const MixingTask& task) {
    std::uint32_t sum = task.salt;
    for (const auto cell : task.reads)
        for (const auto word : cells[cell]) sum = sum * 31U + word;
    for (const auto cell : task.writes)
        for (auto& word : cells[cell]) word = (word ^ sum++) * 2654435761U;
}

/// In a graph within a task: its result must be that of a loop.
void mix_within(const MixingTask& task) {
    std::uint32_t value = task.salt, expected = task.salt;
    TaskGraph graph;
    const Handle handle = graph.new_handles(1);
    for (index_t i = 0; i < task.inner_tasks; ++i) {
        graph.add({"inner", i}, 0, {}, {handle}, [&value] { value = value * 69069U + 1U; });
        expected = expected * 69069U + 1U;
    }
    graph.run();
    if (value != expected) throw std::logic_error("a graph within a task went wrong");
}

enum class Ending {
    all,
    exception,
    cancelled_by_caller,
    cancelled_by_task,
    cancelled_by_thread,
    abandoned
};

/// How a graph is to end, and at which of its tasks that comes about.
struct Plan {
    Ending ending;
    index_t at;
};

struct Outcome {
    std::vector<Cell> cells;
    bool threw = false;
    bool was_cancelled = false;
};

Outcome run(const std::vector<MixingTask>& mixing, index_t cells, Plan plan, int threads,
            const std::shared_ptr<Inspector>& inspector) {
    Outcome outcome{std::vector<Cell>(cells, Cell{1, 2, 3, 4, 5, 6, 7, 8})};
    std::atomic<bool> stop{false};
    tasks::RunOptions options;
    options.threads = threads;
    options.observer = inspector;
    if (plan.ending == Ending::cancelled_by_caller)
        options.should_cancel = [&stop] { return stop.load(); };
    std::jthread canceller;
    std::optional<TaskGraph> graph(std::in_place, options);
    graph->new_handles(cells);
    if (plan.ending == Ending::cancelled_by_thread)
        canceller = std::jthread([&graph, delay = plan.at] {
            std::this_thread::sleep_for(std::chrono::microseconds(delay));
            graph->cancel();
        });
    for (index_t i = 0; i < std::ssize(mixing); ++i) {
        const auto& task = mixing[i];
        graph->add({"mix", i}, task.rank, task.reads, task.writes, [&, at_plan = i == plan.at] {
            mix(outcome.cells, task);
            if (task.inner_tasks > 0) mix_within(task);
            if (!at_plan) return;
            if (plan.ending == Ending::exception) throw Planned();
            if (plan.ending == Ending::cancelled_by_task) graph->cancel();
            if (plan.ending == Ending::cancelled_by_caller) stop = true;
        });
    }
    try {
        if (plan.ending != Ending::abandoned) graph->run();
    } catch (const Planned&) {
        outcome.threw = true;
    } catch (const Cancelled&) {
        outcome.was_cancelled = true;
    }
    if (canceller.joinable()) canceller.join();
    graph.reset();
    return outcome;
}

void check(const Outcome& outcome, const std::vector<MixingTask>& mixing, Plan plan) {
    const bool at_a_task = plan.at < std::ssize(mixing);
    const bool may_cancel = plan.ending == Ending::cancelled_by_caller ||
                            plan.ending == Ending::cancelled_by_task ||
                            plan.ending == Ending::cancelled_by_thread;
    if (outcome.threw != (plan.ending == Ending::exception && at_a_task))
        throw std::logic_error("an exception was lost, or came from nowhere");
    if (outcome.was_cancelled && !may_cancel) throw std::logic_error("cancelled by nobody");
    if (plan.ending == Ending::cancelled_by_task && at_a_task && !outcome.was_cancelled)
        throw std::logic_error("cancelled in vain");
    if (outcome.threw || outcome.was_cancelled || plan.ending == Ending::abandoned) return;
    std::vector<Cell> expected(outcome.cells.size(), Cell{1, 2, 3, 4, 5, 6, 7, 8});
    for (const auto& task : mixing) mix(expected, task);
    if (outcome.cells != expected) throw std::logic_error("not what program order gives");
}

}  // namespace

GraphOutcome run_random_graph(Random& random) {
    const index_t cells = between(random, 1, 24);
    const auto mixing = random_tasks(random, cells);
    const bool is_plain = between(random, 0, 1) == 0;
    const Plan plan{is_plain ? Ending::all : static_cast<Ending>(between(random, 1, 5)),
                    between(random, 0, std::ssize(mixing))};
    const auto inspector = std::make_shared<Inspector>(
        between(random, 0, 3) == 0 ? Delays(random()) : Delays(), std::ssize(mixing));
    const auto threads = static_cast<int>(between(random, 1, 4));
    const auto outcome = run(mixing, cells, plan, threads, inspector);
    check(outcome, mixing, plan);
    if (!inspector->conflicts().empty()) throw std::logic_error("tasks in conflict overlapped");
    GraphOutcome result{1, std::ssize(mixing), outcome.threw, outcome.was_cancelled,
                        plan.ending == Ending::abandoned};
    for (const auto& task : mixing) {
        result.graphs += task.inner_tasks > 0 ? 1 : 0;
        result.tasks += task.inner_tasks;
    }
    return result;
}

}  // namespace gprat::stress
