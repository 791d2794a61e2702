#pragma once

#include <barrier>
#include <ctime>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace gprat::calibration {

/// Seconds that the calling thread has had a processor: what others do in between doesn't count.
inline double thread_seconds() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// Calls `work(member, start_together)` on as many threads of its own; `start_together()` waits for
/// the others. Rethrows the first exception when all are done.
template <class Work>
void run_team(int threads, Work&& work) {
    std::barrier<> barrier(threads);
    std::mutex mutex;
    std::exception_ptr error;
    const auto run = [&](int member) {
        bool has_arrived = false;
        try {
            work(member, [&] {
                has_arrived = true;
                barrier.arrive_and_wait();
            });
        } catch (...) {
            const std::lock_guard lock(mutex);
            if (!error) error = std::current_exception();
        }
        // Nobody waits for one who has failed before the start.
        if (!has_arrived) barrier.arrive_and_drop();
    };
    {
        std::vector<std::jthread> team;
        for (int member = 0; member < threads; ++member) team.emplace_back(run, member);
    }
    if (error) std::rethrow_exception(error);
}

}  // namespace gprat::calibration
