// A system that gives no more than some threads at a time.
#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <memory>
#include <thread>

#include "check.hpp"
#include "gprat/error.hpp"
#include "gprat/tasks/runtime.hpp"
#include "gprat/tasks/task_graph.hpp"

using namespace gprat::tasks;

namespace {

std::atomic<int> most_threads{1000};
std::atomic<int> running{0};
int others = 0;  // threads that a sanitizer has for itself

struct Start {
    void* (*routine)(void*);
    void* argument;
};

void* run_counted(void* start) {
    const std::unique_ptr<Start> owned(static_cast<Start*>(start));
    void* const result = owned->routine(owned->argument);
    --running;
    return result;
}

}  // namespace

// Comes before the C library's, for oneTBB too.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                              void* (*routine)(void*), void* argument) noexcept {
    using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
    static const auto create = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
    if (++running > most_threads) {
        --running;
        return EAGAIN;
    }
    auto start = std::make_unique<Start>(Start{routine, argument});
    const int error = create(thread, attributes, run_counted, start.get());
    if (error == 0)
        start.release();
    else
        --running;
    return error;
}

namespace {

int run_graph(int threads) {
    std::atomic<int> done{0};
    TaskGraph graph({threads, {}});
    for (int i = 0; i < 100; ++i) graph.add({"count"}, 0, {}, {}, [&done] { ++done; });
    graph.run();
    return done;
}

void test_too_few_threads_are_an_error_that_leaves_all_usable() {
    auto& runtime = Runtime::instance();
    for (const int given : {0, 1, 3}) {
        most_threads = others + given;
        runtime.start(4);
        for (int repetition = 0; repetition < 2; ++repetition) {
            int wanted = 0, found = -1;
            try {
                run_graph(2);
            } catch (const gprat::TooFewThreads& error) {
                wanted = error.wanted;
                found = error.given;
            }
            CHECK(wanted == 4 && found == given);
        }
        CHECK(run_graph(1) == 100);  // which takes no thread but this one
        if (given > 1) {
            runtime.start(given);
            CHECK(run_graph(given) == 100);
        }
        most_threads = 1000;
        runtime.start(4);
        CHECK(run_graph(4) == 100);
        runtime.stop();
        CHECK(running == others);
    }
}

void test_no_thread_starts_in_vain() {
    most_threads = 1000;
    auto& runtime = Runtime::instance();
    runtime.start(4);
    CHECK(run_graph(1) == 100);
    CHECK(running == others);
    CHECK(run_graph(2) == 100);
    CHECK(running == others + 4);
    runtime.stop();
    CHECK(running == others);
}

}  // namespace

int main() {
    std::thread([] {}).join();
    others = running;
    test_too_few_threads_are_an_error_that_leaves_all_usable();
    test_no_thread_starts_in_vain();
    return gprat::check::report();
}
