// What the machine can do at best, as JSON: its rate of fused multiply-adds in double precision,
// and what our runtime adds to every task.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "gprat/tasks/runtime.hpp"
#include "gprat/tasks/task_graph.hpp"

namespace {

// Enough independent chains to hide the latency of two FMA pipelines.
constexpr int kChains = 12;

double seconds(const std::function<void()>& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

#if defined(__x86_64__)
__attribute__((target("avx512f"))) double chains_avx512(long steps) {
    __m512d x[kChains];
    for (int i = 0; i < kChains; ++i) x[i] = _mm512_set1_pd(i);
    const __m512d a = _mm512_set1_pd(0.999999), b = _mm512_set1_pd(1e-7);
    for (long step = 0; step < steps; ++step) {
#pragma GCC unroll 12
        for (int i = 0; i < kChains; ++i) x[i] = _mm512_fmadd_pd(x[i], a, b);
    }
    __m512d sum = x[0];
    for (int i = 1; i < kChains; ++i) sum = _mm512_add_pd(sum, x[i]);
    return sum[0];
}

__attribute__((target("avx2,fma"))) double chains_avx2(long steps) {
    __m256d x[kChains];
    for (int i = 0; i < kChains; ++i) x[i] = _mm256_set1_pd(i);
    const __m256d a = _mm256_set1_pd(0.999999), b = _mm256_set1_pd(1e-7);
    for (long step = 0; step < steps; ++step) {
#pragma GCC unroll 12
        for (int i = 0; i < kChains; ++i) x[i] = _mm256_fmadd_pd(x[i], a, b);
    }
    __m256d sum = x[0];
    for (int i = 1; i < kChains; ++i) sum = _mm256_add_pd(sum, x[i]);
    return sum[0];
}
#endif

double chains_scalar(long steps) {
    double x[kChains] = {};
    for (long step = 0; step < steps; ++step)
        for (double& value : x) value = value * 0.999999 + 1e-7;
    double sum = 0.0;
    for (const double value : x) sum += value;
    return sum;
}

struct Kernel {
    double (*run)(long);
    int lanes;
};

Kernel widest_kernel() {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) return {chains_avx512, 8};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return {chains_avx2, 4};
#endif
    return {chains_scalar, 1};
}

double fma_gflops(int threads) {
    constexpr long kSteps = 30'000'000;
    const auto kernel = widest_kernel();
    double best = 0.0;
    for (int repeat = 0; repeat < 5; ++repeat) {
        const double elapsed = seconds([&] {
            std::vector<std::thread> team;
            for (int t = 0; t < threads; ++t)
                team.emplace_back(
                    [&] { [[maybe_unused]] volatile double sink = kernel.run(kSteps); });
            for (auto& member : team) member.join();
        });
        best = std::max(best, 2.0 * kChains * kernel.lanes * kSteps * threads / elapsed / 1e9);
    }
    return best;
}

// Three accesses a task, most of them with an edge, as in a tiled factorisation.
double task_microseconds(int threads) {
    using namespace gprat::tasks;
    constexpr int kTasks = 200'000;
    std::vector<double> times;
    for (int repeat = 0; repeat < 5; ++repeat)
        times.push_back(seconds([&] {
            TaskGraph graph({threads, {}});
            const Handle first = graph.new_handles(64);
            for (int i = 0; i < kTasks; ++i)
                graph.add({"empty", i, 0}, i, {first + i * 7 % 64, first + (i * 13 + 5) % 64},
                          {first + i % 64}, [] {});
            graph.run();
        }));
    std::sort(times.begin(), times.end());
    return times[times.size() / 2] / kTasks * 1e6;
}

}  // namespace

int main(int argc, char** argv) {
    const int threads = argc > 1 ? std::atoi(argv[1]) : gprat::tasks::Runtime::default_threads();
    gprat::tasks::Runtime::instance().start(threads);
    std::printf("{\"threads\": %d, \"fma_gflops\": %.2f, \"task_microseconds\": %.3f}\n", threads,
                fma_gflops(threads), task_microseconds(threads));
    gprat::tasks::Runtime::instance().stop();
}
