// A factor with rows appended and deleted: scaled residuals, tile sizes, bitwise equality between
// numbers of threads, and what is left above the diagonal.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "check.hpp"
#include "gprat/error.hpp"
#include "gprat/linalg/cholesky.hpp"
#include "gprat/linalg/update.hpp"
#include "gprat/tasks/runtime.hpp"
#include "tiled.hpp"

using namespace gprat;

namespace {

template <class T>
TiledMatrix<T> factor(const Dense<T>& a, const TileLayout& layout) {
    auto tiles = to_tiles(a, layout);
    tasks::TaskGraph graph({1, {}});
    add_cholesky(graph, TiledOperand<T>(graph, tiles));
    graph.run();
    return tiles;
}

template <class T>
Dense<T> select(const Dense<T>& a, index_t n, const std::vector<index_t>& rows) {
    const index_t m = std::ssize(rows);
    Dense<T> selected(m * m);
    for (index_t j = 0; j < m; ++j)
        for (index_t i = 0; i < m; ++i) selected[i + j * m] = a[rows[i] + rows[j] * n];
    return selected;
}

/// max |(L·Lᵀ − A)_ij|
template <class T>
double residual(const Dense<T>& l, const Dense<T>& a, index_t n) {
    double worst = 0.0;
    for (index_t j = 0; j < n; ++j)
        for (index_t i = j; i < n; ++i) {
            double sum = 0.0;
            for (index_t k = 0; k <= j; ++k) sum += double(l[i + k * n]) * double(l[j + k * n]);
            worst = std::max(worst, std::abs(sum - double(a[i + j * n])));
        }
    return worst;
}

template <class T>
bool is_factor(const TiledMatrix<T>& l, const Dense<T>& a, index_t n) {
    const auto dense = lower(l);
    for (index_t i = 0; i < n; ++i)
        if (!(dense[i + i * n] > T(0))) return false;
    const double bound = 50.0 * double(n) * double(std::numeric_limits<T>::epsilon());
    return residual(dense, a, n) <= bound;
}

/// In the tiles on the diagonal.
template <class T>
bool is_zero_above_the_diagonal(const TiledMatrix<T>& l) {
    for (index_t i = 0; i < l.layout().tiles(); ++i) {
        const auto tile = l.tile(i, i);
        for (index_t c = 0; c < tile.cols; ++c)
            for (index_t r = 0; r < c; ++r)
                if (tile(r, c) != T(0)) return false;
    }
    return true;
}

/// Factorises A, given the factor of its first `known` rows.
template <class T>
TiledMatrix<T> append(const TiledMatrix<T>& from, index_t known, const Dense<T>& a,
                      const TileLayout& layout, int threads) {
    auto tiles = to_tiles(a, layout);
    std::vector<index_t> rows(known);
    std::iota(rows.begin(), rows.end(), 0);
    tasks::TaskGraph graph({threads, {}});
    const TiledOperand<T> operand(graph, tiles);
    add_copy_rows<T>(graph, from, rows, operand);
    add_cholesky(graph, CutOperand<T>(operand, known));
    graph.run();
    return tiles;
}

template <class T>
TiledMatrix<T> without(const TiledMatrix<T>& from, const std::vector<index_t>& rows,
                       const TileLayout& layout, int threads) {
    RowDeletion<T> deletion(rows, layout);
    deletion.allocate();
    TiledMatrix<T> tiles(layout);
    tasks::TaskGraph graph({threads, {}});
    add_delete_rows(graph, from, deletion, TiledOperand<T>(graph, tiles));
    graph.run();
    return tiles;
}

template <class T>
void test_append(index_t n, index_t known, index_t tile_size, index_t new_tile_size) {
    const auto a = random_positive_definite<T>(n, static_cast<unsigned>(n + known));
    std::vector<index_t> rows(known);
    std::iota(rows.begin(), rows.end(), 0);
    const auto old = factor(select(a, n, rows), TileLayout(known, tile_size));
    const TileLayout layout(n, new_tile_size);
    const auto appended = append(old, known, a, layout, 1);
    CHECK(is_factor(appended, a, n));
    const auto reference = lower(appended);
    const auto before = lower(old);
    for (index_t j = 0; j < known; ++j)
        for (index_t i = j; i < known; ++i) CHECK(reference[i + j * n] == before[i + j * known]);
    for (const int threads : {2, 4})
        CHECK(lower(append(old, known, a, layout, threads)) == reference);
}

template <class T>
void test_delete(index_t n, const std::vector<index_t>& deleted, index_t tile_size,
                 index_t new_tile_size) {
    const auto a = random_positive_definite<T>(n, static_cast<unsigned>(n));
    const auto old = factor(a, TileLayout(n, tile_size));
    std::vector<index_t> kept;
    for (index_t row = 0; row < n; ++row)
        if (!std::binary_search(deleted.begin(), deleted.end(), row)) kept.push_back(row);
    const index_t m = std::ssize(kept);
    const TileLayout layout(m, new_tile_size);
    const auto rest = without(old, deleted, layout, 1);
    CHECK(is_factor(rest, select(a, n, kept), m));
    CHECK(is_zero_above_the_diagonal(rest));
    // Rows before the first that leaves are as they were.
    const auto reference = lower(rest), before = lower(old);
    for (index_t j = 0; j < deleted.front(); ++j)
        for (index_t i = j; i < deleted.front(); ++i)
            CHECK(reference[i + j * m] == before[i + j * n]);
    for (const int threads : {2, 4})
        CHECK(lower(without(old, deleted, layout, threads)) == reference);
}

template <class T>
void test_all() {
    for (const index_t tile_size : {1, 7, 50, 500})
        for (const index_t new_tile_size : {1, 7, 24, 500}) {
            test_append<T>(2, 1, tile_size, new_tile_size);
            test_append<T>(71, 1, tile_size, new_tile_size);
            test_append<T>(71, 48, tile_size, new_tile_size);
            test_append<T>(71, 70, tile_size, new_tile_size);
            test_append<T>(71, 71, tile_size, new_tile_size);
            test_delete<T>(2, {0}, tile_size, new_tile_size);
            test_delete<T>(2, {1}, tile_size, new_tile_size);
            test_delete<T>(71, {0}, tile_size, new_tile_size);
            test_delete<T>(71, {70}, tile_size, new_tile_size);
            test_delete<T>(71, {35}, tile_size, new_tile_size);
            test_delete<T>(71, {6, 7, 8, 30, 49, 50, 70}, tile_size, new_tile_size);
            std::vector<index_t> all_but_two;
            for (index_t row = 0; row < 71; ++row)
                if (row != 20 && row != 60) all_but_two.push_back(row);
            test_delete<T>(71, all_but_two, tile_size, new_tile_size);
        }
    // More reflectors than share a factor, and products that are cut in cache-sized parts.
    std::vector<index_t> scattered;
    for (index_t row = 3; row < 400; row += 4) scattered.push_back(row);
    test_delete<T>(400, scattered, 150, 150);
    test_append<T>(400, 333, 150, 150);
}

void test_new_rows_that_break_it_are_named() {
    const index_t n = 40, known = 25;
    for (const index_t row : {25, 31, 39})
        for (const index_t tile_size : {1, 7, 64})
            for (const double value : {-1.0, std::numeric_limits<double>::quiet_NaN()}) {
                Dense<double> a(n * n, 0.0);
                for (index_t i = 0; i < n; ++i) a[i + i * n] = 1.0;
                std::vector<index_t> rows(known);
                std::iota(rows.begin(), rows.end(), 0);
                const auto old = factor(select(a, n, rows), TileLayout(known, tile_size));
                a[row + row * n] = value;
                bool thrown = false;
                try {
                    append(old, known, a, TileLayout(n, tile_size), 2);
                } catch (const NotPositiveDefinite& error) {
                    thrown = error.pivot == row && error.is_finite == std::isfinite(value);
                }
                CHECK(thrown);
            }
}

void test_memory_is_borrowed() {
    const TileLayout layout(10, 4);
    std::vector<float> memory(16 + 32 + 20, 3.0F);
    {
        const TiledMatrix<float> tiles(layout,
                                       Buffer<float>::borrow(memory.data(), std::ssize(memory)));
        CHECK(tiles.tile(0, 0).data == memory.data());
        CHECK(&tiles.tile(2, 2)(1, 1) == &memory.back());
        CHECK(tiles.storage().size() == std::ssize(memory));
    }
    CHECK(memory.back() == 3.0F);
    bool refused = false;
    try {
        TiledMatrix<float>(layout, Buffer<float>::borrow(memory.data(), 10));
    } catch (const InvalidArgument&) {
        refused = true;
    }
    CHECK(refused);
}

}  // namespace

int main() {
    tasks::Runtime::instance().start(4);
    test_all<double>();
    test_all<float>();
    test_new_rows_that_break_it_are_named();
    test_memory_is_borrowed();
    tasks::Runtime::instance().stop();
    return gprat::check::report();
}
