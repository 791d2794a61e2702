#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "gprat/tasks/observer.hpp"

namespace gprat::stress {

/// Which tasks wait before they start and after they end, so that orders come up that are rare
/// otherwise. The same seed delays the same tasks.
class Delays {
public:
    Delays() = default;
    explicit Delays(std::uint64_t seed) : seed_(seed), is_on_(true) {}

    void before(const tasks::TaskRun& run) const { wait(run, 0); }
    void after(const tasks::TaskRun& run) const { wait(run, 1); }

private:
    void wait(const tasks::TaskRun& run, std::uint64_t moment) const;

    std::uint64_t seed_ = 0;
    bool is_on_ = false;
};

/// Two tasks of which one writes what the other accesses, and the later in program order started
/// before the earlier had ended.
struct Conflict {
    index_t graph;
    index_t handle;
    std::string earlier;
    std::string later;
};

/// Notes what tasks access and when they run, for graphs that one thread makes, and tells
/// afterwards which of them ran out of order.
///
/// Times are tickets of one counter that synchronises nothing: a thread sanitizer sees what it
/// would see without an inspector.
class Inspector final : public tasks::Observer {
public:
    explicit Inspector(Delays delays = {}, index_t most_tasks = 1 << 16);

    index_t graph_created(int threads) noexcept override;
    void task_added(index_t graph, index_t task, const tasks::TaskLabel& label,
                    std::span<const index_t> reads,
                    std::span<const index_t> writes) noexcept override;
    void task_started(tasks::TaskRun& run) noexcept override;
    tasks::RunId task_finished(const tasks::TaskRun& run) noexcept override;

    /// Of graphs that have run. Throws if there were more tasks than it had room for.
    std::vector<Conflict> conflicts() const;

    index_t graphs() const { return static_cast<index_t>(graphs_.size()); }
    index_t tasks() const { return runs_ended_.load(); }

private:
    struct AddedTask {
        index_t task;
        std::string label;
        std::vector<index_t> reads;
        std::vector<index_t> writes;
    };
    struct Run {
        index_t graph;
        index_t task;
        index_t start;
        index_t end;
    };

    void find_conflicts(index_t graph, std::vector<Conflict>& found) const;

    Delays delays_;
    std::vector<std::vector<AddedTask>> graphs_;
    std::vector<Run> runs_;
    std::atomic<index_t> runs_ended_{0};
    std::atomic<index_t> ticket_{0};
};

}  // namespace gprat::stress
