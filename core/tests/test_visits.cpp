// Visits of workers that come twice, that come after the graph has gone, or that come although
// asking for them ended with an exception: oneTBB may do so where memory ends.
#include <atomic>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include "check.hpp"
#include "gprat/tasks/runtime.hpp"
#include "gprat/tasks/task_graph.hpp"
#include "gprat/tasks/worker_pool.hpp"

using namespace gprat::tasks;
using gprat::index_t;

namespace {

enum class Fault { none, twice, late, refused, refused_and_done };

using Work = void (*)(void*);

struct LateVisit {
    Work work;
    std::shared_ptr<void> context;
};

std::thread::id owner;
std::atomic<Fault> fault_of_owner{Fault::none};
std::atomic<Fault> fault_of_workers{Fault::none};
std::mutex mutex;
std::vector<LateVisit> late_visits;

}  // namespace

// The linker leads calls of WorkerPool::Arena::enqueue to the first and has the second lead there.
#define GPRAT_ENQUEUE(prefix) \
    prefix##_ZN5gprat5tasks10WorkerPool5Arena7enqueueEPFvPvESt10shared_ptrIvE

extern "C" {
void GPRAT_ENQUEUE(__real_)(WorkerPool::Arena*, Work, std::shared_ptr<void>);

void GPRAT_ENQUEUE(__wrap_)(WorkerPool::Arena* arena, Work work, std::shared_ptr<void> context) {
    const Fault fault =
        (std::this_thread::get_id() == owner ? fault_of_owner : fault_of_workers).load();
    if (fault != Fault::refused) GPRAT_ENQUEUE(__real_)(arena, work, context);
    if (fault == Fault::twice) GPRAT_ENQUEUE(__real_)(arena, work, context);
    if (fault == Fault::late) {
        const std::lock_guard lock(mutex);
        late_visits.push_back({work, std::move(context)});
    }
    if (fault == Fault::refused || fault == Fault::refused_and_done) throw std::bad_alloc();
}
}

namespace {

constexpr index_t kTasks = 300;

/// A task that opens the way for many, of which each runs once, and one after all of them.
/// Returns whether that is what happened.
bool run_graph() {
    std::vector<std::atomic<int>> runs(kTasks);
    std::atomic<bool> is_open{false}, is_late{false};
    std::vector<Handle> all;
    TaskGraph graph({3, {}});
    const Handle gate = graph.new_handles(kTasks + 1);
    graph.add({"gate"}, 0, {}, {gate}, [&] { is_open = true; });
    for (index_t i = 0; i < kTasks; ++i) {
        all.push_back(gate + 1 + i);
        graph.add({"one", i}, i % 5, {gate}, {all.back()},
                  [&, i] { runs[static_cast<std::size_t>(i)] += is_open && !is_late; });
    }
    graph.add({"last"}, 0, all, {}, [&] { is_late = true; });
    graph.run();
    for (const auto& count : runs)
        if (count != 1) return false;
    return is_late;
}

void test_visits_in_vain() {
    for (const Fault fault : {Fault::none, Fault::twice, Fault::late})
        for (int repetition = 0; repetition < 20; ++repetition) {
            fault_of_owner = fault_of_workers = fault;
            CHECK(run_graph());
        }
    CHECK(!late_visits.empty());
    fault_of_owner = Fault::none;
    const Runtime::Lease lease(Runtime::instance());
    for (auto& visit : std::exchange(late_visits, {}))
        lease.pool()->arena(3)->enqueue(visit.work, std::move(visit.context));
}

void test_workers_without_memory_for_visits() {
    fault_of_owner = Fault::twice;
    for (const Fault fault : {Fault::refused, Fault::refused_and_done})
        for (int repetition = 0; repetition < 20; ++repetition) {
            fault_of_workers = fault;
            CHECK(run_graph());
        }
}

void test_owner_without_memory_for_visits() {
    fault_of_workers = Fault::none;
    for (const Fault fault : {Fault::refused, Fault::refused_and_done})
        for (int repetition = 0; repetition < 20; ++repetition) {
            fault_of_owner = fault;
            bool is_done = false, is_reported = false;
            try {
                is_done = run_graph();
            } catch (const std::bad_alloc&) {
                is_reported = true;
            }
            // Where workers came before the owner could notice, nothing was amiss.
            CHECK(is_reported || (is_done && fault == Fault::refused_and_done));
            fault_of_owner = Fault::none;
            CHECK(run_graph());
        }
}

}  // namespace

int main() {
    owner = std::this_thread::get_id();
    Runtime::instance().start(3);
    test_visits_in_vain();
    test_workers_without_memory_for_visits();
    test_owner_without_memory_for_visits();
    Runtime::instance().stop();
    return gprat::check::report();
}
