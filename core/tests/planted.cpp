// One mistake of a kind, for a sanitizer to find: planted race|overflow|leak|stale|undefined
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>
#include <thread>

#include "gprat/tasks/runtime.hpp"
#include "gprat/tasks/task_graph.hpp"

using namespace gprat;

namespace {

/// Two tasks write the same number and don't say so. They meet without synchronising.
int race() {
    int shared = 0;
    std::atomic<int> started{0};
    tasks::RunOptions options;
    options.threads = 2;
    tasks::TaskGraph graph(options);
    for (int i = 0; i < 2; ++i)
        graph.add({"race", i}, 0, {}, {}, [&shared, &started] {
            started.fetch_add(1, std::memory_order_relaxed);
            while (started.load(std::memory_order_relaxed) < 2) std::this_thread::yield();
            ++shared;
        });
    graph.run();
    return shared;
}

int overflow(int at) {
    auto* const values = new int[4]();
    const int beyond = values[at];
    delete[] values;
    return beyond;
}

int leak() {
    void* volatile forgotten = std::malloc(1000);
    forgotten = nullptr;
    return forgotten == nullptr ? 0 : 1;
}

/// A task reads what lay on the stack of a function that has returned.
int* volatile place = nullptr;

__attribute__((noinline)) void note_place(int value) {
    int local = value;
    place = &local;
}

int stale() {
    int read = 0;
    note_place(7);
    tasks::TaskGraph graph;
    graph.add({"stale"}, 0, {}, {}, [&read] { read = *place; });
    graph.run();
    return read;
}

int undefined(int most) {
    return most + 1;
}

}  // namespace

int main(int count, char** values) {
    const std::string kind = count > 1 ? values[1] : "";
    tasks::Runtime::instance().start(2);
    int result = 0;
    if (kind == "race") result = race();
    volatile int hidden = 4;  // from the compiler, which would warn
    if (kind == "overflow") result = overflow(hidden);
    if (kind == "leak") result = leak();
    if (kind == "stale") result = stale();
    hidden = std::numeric_limits<int>::max();
    if (kind == "undefined") result = undefined(hidden);
    tasks::Runtime::instance().stop();
    std::printf("%d\n", result);
    return 0;
}
