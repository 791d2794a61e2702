#pragma once

#include <atomic>

#include "gprat/tasks/runtime.hpp"

namespace gprat::tasks {

/// Held by one thread at a time. A forked child finds it open: who holds it stays in the parent,
/// and would never open it here.
class ForkSafeMutex {
public:
    bool try_lock() {
        const int here = Runtime::instance().generation();
        int holder = holder_.load(std::memory_order_relaxed);
        return holder != here &&
               holder_.compare_exchange_strong(holder, here, std::memory_order_acquire,
                                               std::memory_order_relaxed);
    }
    void unlock() { holder_.store(kNobody, std::memory_order_release); }

private:
    static constexpr int kNobody = 0;

    std::atomic<int> holder_{kNobody};  ///< in which generation
};

}  // namespace gprat::tasks
