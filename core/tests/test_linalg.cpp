// Tiled factorisation, solves and inverse: scaled residuals, tile sizes, and bitwise equality
// between numbers of threads.
#include <cmath>
#include <limits>
#include <vector>

#include "check.hpp"
#include "gprat/error.hpp"
#include "gprat/linalg/buffer.hpp"
#include "gprat/linalg/cholesky.hpp"
#include "gprat/linalg/inverse.hpp"
#include "gprat/linalg/page_cache.hpp"
#include "gprat/linalg/solve.hpp"
#include "gprat/tasks/runtime.hpp"
#include "tiled.hpp"

using namespace gprat;

namespace {

enum class Task { factor, inverse };

template <class T>
Dense<T> compute(const Dense<T>& a, const TileLayout& layout, int threads, Task task) {
    const auto tiled = to_tiles(a, layout);
    tasks::TaskGraph graph({threads, {}});
    const TiledOperand<T> operand(graph, tiled);
    add_cholesky(graph, operand);
    if (task == Task::inverse) add_inverse(graph, CholeskyRanks::end(layout), operand);
    graph.run();
    return lower(tiled);
}

/// max |(P·Q − R)_ij| for the three given as functions of (i, j).
template <class P, class Q, class R>
double residual(index_t n, P p, Q q, R r) {
    double worst = 0.0;
    for (index_t j = 0; j < n; ++j)
        for (index_t i = 0; i < n; ++i) {
            double sum = 0.0;
            for (index_t k = 0; k < n; ++k) sum += double(p(i, k)) * double(q(k, j));
            worst = std::max(worst, std::abs(sum - double(r(i, j))));
        }
    return worst;
}

template <class T>
void test_factor_and_inverse(index_t n, index_t tile_size) {
    const auto a = random_positive_definite<T>(n, static_cast<unsigned>(n));
    const TileLayout layout(n, tile_size);
    const double bound = 10.0 * double(n) * double(std::numeric_limits<T>::epsilon()) * 5.0;

    const auto l = compute(a, layout, 1, Task::factor);
    CHECK(residual(
              n, [&](index_t i, index_t k) { return l[i + k * n]; },
              [&](index_t k, index_t j) { return l[j + k * n]; },
              [&](index_t i, index_t j) { return a[i + j * n]; }) <= bound);

    const auto inverse = compute(a, layout, 1, Task::inverse);
    CHECK(
        residual(
            n, [&](index_t i, index_t k) { return a[i + k * n]; },
            [&](index_t k, index_t j) { return k >= j ? inverse[k + j * n] : inverse[j + k * n]; },
            [](index_t i, index_t j) { return i == j ? 1.0 : 0.0; }) <= bound);

    for (const int threads : {2, 4}) {
        CHECK(compute(a, layout, threads, Task::factor) == l);
        CHECK(compute(a, layout, threads, Task::inverse) == inverse);
    }
}

template <class T>
void test_solves(index_t n, index_t tile_size, index_t columns) {
    const auto a = random_positive_definite<T>(n, 7);
    const TileLayout layout(n, tile_size);
    std::vector<T> reference;
    for (const int threads : {1, 4}) {
        std::vector<T> b(n * columns);
        for (index_t i = 0; i < n * columns; ++i) b[i] = static_cast<T>(std::sin(double(i) + 1.0));
        const auto original = b;
        const auto tiled = to_tiles(a, layout);
        tasks::TaskGraph graph({threads, {}});
        const TiledOperand<T> operand(graph, tiled);
        const BlockOperand<T> block(graph, MatrixView<T>(b.data(), n, columns), layout);
        add_cholesky(graph, operand);
        add_solve_lower(graph, 0, operand, block);
        add_solve_lower_transposed(graph, 0, operand, block);
        graph.run();
        for (index_t c = 0; c < columns; ++c)
            for (index_t i = 0; i < n; ++i) {
                double sum = 0.0;
                for (index_t k = 0; k < n; ++k) sum += double(a[i + k * n]) * double(b[k + c * n]);
                CHECK(std::abs(sum - double(original[i + c * n])) <=
                      50.0 * double(n) * double(std::numeric_limits<T>::epsilon()));
            }
        if (threads == 1) reference = b;
        CHECK(b == reference);
    }
}

void test_indefinite_matrix_names_the_row() {
    const index_t n = 40;
    for (const index_t row : {0, 13, 39})
        for (const index_t tile_size : {1, 7, 64})
            for (const double value : {-1.0, std::numeric_limits<double>::quiet_NaN()}) {
                Dense<double> a(n * n, 0.0);
                for (index_t i = 0; i < n; ++i) a[i + i * n] = i == row ? value : 1.0;
                bool thrown = false;
                try {
                    compute(a, TileLayout(n, tile_size), 2, Task::factor);
                } catch (const NotPositiveDefinite& error) {
                    thrown = error.pivot == row && error.is_finite == std::isfinite(value);
                }
                CHECK(thrown);
            }
}

void test_freed_pages_serve_the_next_request_of_their_size() {
    constexpr index_t kSize = index_t{1} << 20;  // 8 MiB
    const void* first = nullptr;
    {
        const Buffer<double> buffer(kSize);
        first = buffer.data();
        buffer[kSize - 1] = 1.0;
    }
    {
        const Buffer<double> again(kSize - 1000);
        CHECK(again.data() == first);
        again[kSize - 1001] = 2.0;
        const Buffer<double> other(kSize);
        CHECK(other.data() != first);
    }
    // Of blocks that fit, the smallest: the next request may be for another.
    const void* small = nullptr;
    const void* large = nullptr;
    {
        const Buffer<double> one(2 * kSize), two(2 * kSize + 4096);
        small = one.data();
        large = two.data();
    }
    {
        const Buffer<double> one(2 * kSize), two(2 * kSize + 4096);
        CHECK(one.data() == small && two.data() == large);
    }
    // A request that no block fits frees them all, so that they don't add to its peak.
    {
        const Buffer<double> larger(4 * kSize);
    }
    CHECK(PageCache::instance().take(kSize * sizeof(double)).memory == nullptr);
}

}  // namespace

int main() {
    tasks::Runtime::instance().start(4);
    test_freed_pages_serve_the_next_request_of_their_size();
    for (const index_t n : {1, 2, 50, 131})
        for (const index_t tile_size : {1, 7, 64, 131, 500}) {
            test_factor_and_inverse<double>(n, tile_size);
            test_factor_and_inverse<float>(n, tile_size);
        }
    for (const index_t tile_size : {7, 64, 200})
        for (const index_t columns : {1, 3}) {
            test_solves<double>(131, tile_size, columns);
            test_solves<float>(131, tile_size, columns);
        }
    test_indefinite_matrix_names_the_row();
    tasks::Runtime::instance().stop();
    return gprat::check::report();
}
