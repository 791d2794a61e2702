#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <latch>
#include <memory>
#include <new>
#include <numeric>
#include <span>

#include "gprat/calibration/measure.hpp"
#include "gprat/tasks/task_graph.hpp"
#include "team.hpp"

namespace gprat::calibration {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRepeats = 5;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Opens the gate at the latest when it goes: tasks that wait there would never end.
struct Opener {
    std::latch& gate;
    void open() {
        if (!gate.try_wait()) gate.count_down();
    }
    ~Opener() { open(); }
};

/// Keeps these tasks out of what users record.
class Silence final : public tasks::Observer {
public:
    index_t graph_created(int) noexcept override { return 0; }
    void task_started(tasks::TaskRun&) noexcept override {}
    tasks::RunId task_finished(const tasks::TaskRun&) noexcept override { return tasks::kNoRun; }
};

/// Empty tasks with as many edges as updates of a group of tiles have. Where there are workers,
/// they start when all tasks have been added, so that the two costs are measured one by one.
GraphCosts time_graph(int threads) {
    constexpr index_t kTasks = 4000, kHandles = 64, kReads = 8;
    std::latch gate(1);
    tasks::RunOptions options;
    options.threads = threads;
    options.observer = std::make_shared<Silence>();
    tasks::TaskGraph graph(options);
    Opener opener{gate};
    const tasks::Handle first = graph.new_handles(kHandles);
    std::array<tasks::Handle, kHandles> all;
    std::iota(all.begin(), all.end(), first);
    if (graph.threads() > 1) graph.add({"gate"}, 0, {}, all, [&gate] { gate.wait(); });
    const auto start = Clock::now();
    for (index_t i = 0; i < kTasks; ++i) {
        const index_t column = i * 13 % (kHandles - kReads);
        graph.add({"empty", i, 0}, i, std::span(all).subspan(column, kReads),
                  std::span(all).subspan(i % kHandles, 1), [] {});
    }
    const double adding = seconds_since(start);
    opener.open();
    const auto opened = Clock::now();
    graph.run();
    const double running = seconds_since(opened) * graph.threads();
    if (graph.threads() == 1) return {0.0, adding / kTasks};
    return {adding / kTasks, running / kTasks};
}

/// Fresh memory on huge pages, given back at the end.
class FreshMemory {
public:
    explicit FreshMemory(std::size_t bytes) : bytes_(bytes) {
        memory_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory_ == MAP_FAILED) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
        madvise(memory_, bytes, MADV_HUGEPAGE);
#endif
    }
    ~FreshMemory() { munmap(memory_, bytes_); }
    FreshMemory(const FreshMemory&) = delete;
    FreshMemory& operator=(const FreshMemory&) = delete;

    std::span<std::uint64_t> words() const {
        return {static_cast<std::uint64_t*>(memory_), bytes_ / sizeof(std::uint64_t)};
    }

private:
    void* memory_;
    std::size_t bytes_;
};

/// Bytes a second of this thread.
MemoryRates touch_and_read(std::size_t bytes) {
    const FreshMemory memory(bytes);
    const auto words = memory.words();
    const double start = thread_seconds();
    std::fill(words.begin(), words.end(), 1);
    const double filled = thread_seconds();
    [[maybe_unused]] volatile std::uint64_t sum =
        std::accumulate(words.begin(), words.end(), std::uint64_t{0});
    const double summed = thread_seconds();
    const auto size = static_cast<double>(bytes);
    return {size / (filled - start), size / (summed - filled)};
}

}  // namespace

GraphCosts measure_graph(int threads) {
    auto least = time_graph(threads);
    for (int i = 1; i < kRepeats; ++i) {
        const auto costs = time_graph(threads);
        least.submission = std::min(least.submission, costs.submission);
        least.scheduling = std::min(least.scheduling, costs.scheduling);
    }
    return least;
}

MemoryRates measure_memory(int threads) {
    constexpr std::size_t kMebibyte = std::size_t{1} << 20;
    // More than caches hold, and less than a machine with many processors would miss.
    const std::size_t bytes =
        std::clamp<std::size_t>(512 / static_cast<std::size_t>(threads), 8, 32) * kMebibyte;
    std::vector<MemoryRates> rates(static_cast<std::size_t>(threads), MemoryRates{0.0, 0.0});
    run_team(threads, [&](int member, const auto& start_together) {
        auto& best = rates[static_cast<std::size_t>(member)];
        start_together();
        // The first pages may be new to a virtual machine too, which is another matter.
        for (int i = 0; i < kRepeats; ++i) {
            const auto once = touch_and_read(bytes);
            best.first_touch = std::max(best.first_touch, once.first_touch);
            best.read = std::max(best.read, once.read);
        }
    });
    MemoryRates all{0.0, 0.0};
    for (const auto& one : rates) {
        all.first_touch += one.first_touch;
        all.read += one.read;
    }
    return all;
}

}  // namespace gprat::calibration
