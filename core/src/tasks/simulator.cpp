#include "gprat/tasks/simulator.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <queue>
#include <utility>

#include "gprat/error.hpp"
#include "gprat/tasks/task_graph.hpp"

namespace gprat::tasks {

namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

template <class Entry>
using SmallestFirst = std::priority_queue<Entry, std::vector<Entry>, std::greater<>>;

void check(const TimedGraph& graph) {
    const std::size_t tasks = graph.ranks.size();
    if (graph.seconds.size() != tasks || graph.bytes.size() != tasks ||
        graph.offsets.size() != tasks + 1 || graph.offsets.front() != 0 ||
        graph.offsets.back() != std::ssize(graph.predecessors))
        throw InvalidArgument("the arrays of the task list have lengths that do not fit");
    // Written so that NaN fails.
    const auto is_valid = [](double value) { return value >= 0.0 && value < kNever; };
    if (!std::ranges::all_of(graph.seconds, is_valid) ||
        !std::ranges::all_of(graph.bytes, is_valid))
        throw InvalidArgument("seconds and bytes of tasks must be finite and not negative");
    for (std::size_t i = 0; i < tasks; ++i) {
        if (graph.offsets[i + 1] < graph.offsets[i])
            throw InvalidArgument("the offsets of the task list are not ascending");
        for (index_t e = graph.offsets[i]; e < graph.offsets[i + 1]; ++e)
            if (graph.predecessors[e] < 0 || graph.predecessors[e] >= static_cast<index_t>(i))
                throw InvalidArgument("a task of the list waits for one that is not before it");
    }
}

/// Who waits for a task, in program order: the edges the other way round.
class Successors {
public:
    explicit Successors(const TimedGraph& graph)
        : offsets_(graph.ranks.size() + 1), tasks_(graph.predecessors.size()) {
        for (const auto before : graph.predecessors) ++offsets_[before + 1];
        for (std::size_t i = 1; i < offsets_.size(); ++i) offsets_[i] += offsets_[i - 1];
        auto next = offsets_;
        for (std::size_t i = 0; i < graph.ranks.size(); ++i)
            for (index_t e = graph.offsets[i]; e < graph.offsets[i + 1]; ++e)
                tasks_[next[graph.predecessors[e]]++] = static_cast<std::int32_t>(i);
    }

    std::span<const std::int32_t> of(std::int32_t task) const {
        return std::span(tasks_).subspan(offsets_[task], offsets_[task + 1] - offsets_[task]);
    }

private:
    std::vector<std::size_t> offsets_;
    std::vector<std::int32_t> tasks_;
};

/// One run of a graph on a machine, event by event: a task is added, or one ends.
class Simulation {
public:
    Simulation(const TimedGraph& graph, const SimulatedMachine& machine)
        : graph_(graph),
          machine_(machine),
          successors_(graph),
          count_(static_cast<std::int32_t>(graph.ranks.size())),
          pending_(graph.ranks.size(), 1) {
        schedule_.start.resize(graph.ranks.size());
        schedule_.end.resize(graph.ranks.size());
        schedule_.thread.resize(graph.ranks.size());
        for (std::int32_t worker = 0; worker < machine.threads; ++worker) idle_.push(worker);
        for (std::size_t i = 0; i < graph.ranks.size(); ++i)
            pending_[i] += static_cast<std::int32_t>(graph.offsets[i + 1] - graph.offsets[i]);
    }

    Schedule run() && {
        while (added_ < count_ || !running_.empty()) {
            const double next_end = running_.empty() ? kNever : running_.top().first;
            const double next_added = is_full_ || added_ == count_ ? kNever : next_added_;
            if (next_end <= next_added) {
                end_a_task();
            } else {
                add_a_task();
            }
            start_what_is_ready();
        }
        return std::move(schedule_);
    }

private:
    void add_a_task() {
        now_ = next_added_;
        next_added_ += machine_.submission;
        ++outstanding_;
        release(added_++);
        is_full_ = outstanding_ >= kMaxOutstanding;
    }

    void end_a_task() {
        const auto [end, task] = running_.top();
        running_.pop();
        now_ = end;
        --outstanding_;
        idle_.push(schedule_.thread[task]);
        for (const auto successor : successors_.of(task)) release(successor);
        if (is_full_ && outstanding_ <= kMaxOutstanding / 2) {
            is_full_ = false;
            next_added_ = std::max(next_added_, now_);
        }
    }

    /// One reason fewer for the task to wait: to be added is one, each predecessor another.
    void release(std::int32_t task) {
        if (--pending_[task] == 0) ready_.emplace(graph_.ranks[task], task);
    }

    void start_what_is_ready() {
        while (!ready_.empty() && !idle_.empty()) {
            const auto task = ready_.top().second;
            const auto worker = idle_.top();
            ready_.pop();
            idle_.pop();
            const auto busy =
                static_cast<double>(machine_.threads) - static_cast<double>(idle_.size());
            schedule_.thread[task] = worker;
            schedule_.start[task] = now_ + machine_.overhead;
            schedule_.end[task] = schedule_.start[task] + duration(task, busy);
            running_.emplace(schedule_.end[task], task);
        }
    }

    double duration(std::int32_t task, double busy) const {
        if (machine_.bandwidth <= 0.0) return graph_.seconds[task];
        return std::max(graph_.seconds[task], graph_.bytes[task] * busy / machine_.bandwidth);
    }

    const TimedGraph& graph_;
    const SimulatedMachine& machine_;
    Successors successors_;
    std::int32_t count_;

    double now_ = 0.0;
    double next_added_ = 0.0;
    std::int32_t added_ = 0;
    index_t outstanding_ = 0;
    bool is_full_ = false;
    std::vector<std::int32_t> pending_;
    SmallestFirst<std::pair<index_t, std::int32_t>> ready_;   ///< rank, task
    SmallestFirst<std::pair<double, std::int32_t>> running_;  ///< end, task
    SmallestFirst<std::int32_t> idle_;
    Schedule schedule_;
};

/// One thread runs each task as it is added, and keeps no graph.
Schedule run_inline(const TimedGraph& graph, double bandwidth) {
    Schedule schedule;
    double now = 0.0;
    for (std::size_t i = 0; i < graph.ranks.size(); ++i) {
        schedule.start.push_back(now);
        now += std::max(graph.seconds[i], bandwidth > 0.0 ? graph.bytes[i] / bandwidth : 0.0);
        schedule.end.push_back(now);
    }
    schedule.thread.resize(graph.ranks.size(), 0);
    return schedule;
}

}  // namespace

Schedule simulate(const TimedGraph& graph, const SimulatedMachine& machine) {
    check(graph);
    if (machine.threads < 1) throw InvalidArgument("the number of threads must be at least 1");
    if (!(machine.submission >= 0.0 && machine.overhead >= 0.0 && machine.bandwidth >= 0.0))
        throw InvalidArgument("submission, overhead and bandwidth must not be negative");
    if (machine.threads == 1) return run_inline(graph, machine.bandwidth);
    return Simulation(graph, machine).run();
}

std::vector<double> earliest_ends(const TimedGraph& graph) {
    check(graph);
    std::vector<double> ends(graph.ranks.size());
    for (std::size_t i = 0; i < ends.size(); ++i) {
        double start = 0.0;
        for (index_t e = graph.offsets[i]; e < graph.offsets[i + 1]; ++e)
            start = std::max(start, ends[graph.predecessors[e]]);
        ends[i] = start + graph.seconds[i];
    }
    return ends;
}

}  // namespace gprat::tasks
