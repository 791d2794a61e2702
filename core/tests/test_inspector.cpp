// The checker of orders finds an edge that is missing, and nothing where none is.
#include <memory>
#include <tuple>
#include <vector>

#include "check.hpp"
#include "gprat/linalg/blas.hpp"
#include "gprat/tasks/runtime.hpp"
#include "stress/inspector.hpp"
#include "tiled.hpp"

using namespace gprat;
using namespace gprat::stress;

namespace {

/// Tells the inspector of every access, but the graph of some of them only, as a loop nest does
/// that has forgotten one.
class Forgetful final : public tasks::Observer {
public:
    Forgetful(std::shared_ptr<Inspector> inspector, index_t handle)
        : inspector_(std::move(inspector)), handle_(handle) {}

    index_t graph_created(int threads) noexcept override {
        return inspector_->graph_created(threads);
    }
    void task_added(index_t graph, index_t task, const tasks::TaskLabel& label,
                    std::span<const index_t> reads,
                    std::span<const index_t> writes) noexcept override {
        std::vector<index_t> all(reads.begin(), reads.end());
        all.push_back(handle_);
        inspector_->task_added(graph, task, label, all, writes);
    }
    void task_started(tasks::TaskRun& run) noexcept override { inspector_->task_started(run); }
    tasks::RunId task_finished(const tasks::TaskRun& run) noexcept override {
        return inspector_->task_finished(run);
    }

private:
    std::shared_ptr<Inspector> inspector_;
    index_t handle_;
};

void test_a_missing_edge_is_found() {
    index_t found = 0;
    for (std::uint64_t seed = 0; seed < 30; ++seed) {
        const auto inspector = std::make_shared<Inspector>(Delays(seed));
        tasks::RunOptions options{4};
        options.observer = std::make_shared<Forgetful>(inspector, 0);
        tasks::TaskGraph graph(options);
        graph.new_handles(2);
        for (index_t i = 0; i < 40; ++i) {
            graph.add({"write", i}, 0, {}, {0}, [] {});
            graph.add({"read", i}, 0, {}, {1}, [] {});  // reads 0 too, and doesn't say so
        }
        graph.run();
        for (const auto& conflict : inspector->conflicts()) {
            ++found;
            CHECK(conflict.handle == 0);
            CHECK(conflict.earlier != conflict.later);
        }
    }
    CHECK(found > 0);
}

/// A factorisation in which updates, unless it is complete, don't say that they read a panel.
[[maybe_unused]] Dense<double> factorise(const Dense<double>& a, const TileLayout& layout,
                                         std::uint64_t seed, bool is_complete) {
    auto tiles = to_tiles(a, layout);
    tasks::RunOptions options{4};
    options.observer = std::make_shared<Inspector>(Delays(seed));
    tasks::TaskGraph graph(options);
    const TiledOperand<double> l(graph, tiles);
    const double one = 1.0;
    for (index_t j = 0; j < layout.tiles(); ++j) {
        graph.add({"factor", j, j}, j, {}, {l.handle(j, j)},
                  [&tiles, j] { std::ignore = blas::potrf(tiles.tile(j, j)); });
        for (index_t i = j + 1; i < layout.tiles(); ++i)
            graph.add({"panel", i, j}, j, {l.handle(j, j)}, {l.handle(i, j)}, [&tiles, i, j, one] {
                blas::trsm(blas::Side::right, blas::Op::transpose, one, tiles.tile(j, j),
                           tiles.tile(i, j));
            });
        for (index_t i = j + 1; i < layout.tiles(); ++i)
            for (index_t k = j + 1; k <= i; ++k) {
                std::vector<tasks::Handle> reads{l.handle(k, j)};
                if (is_complete) reads.push_back(l.handle(i, j));
                const std::vector<tasks::Handle> writes{l.handle(i, k)};
                graph.add({"update", i, k}, j, reads, writes, [&tiles, i, j, k, one] {
                    blas::gemm(blas::Op::none, blas::Op::transpose, -one, tiles.tile(i, j),
                               tiles.tile(k, j), one, tiles.tile(i, k));
                });
            }
    }
    graph.run();
    return lower(tiles);
}

[[maybe_unused]] void test_delays_bring_a_missing_edge_to_light() {
    const index_t n = 60;
    const auto a = random_positive_definite<double>(n, 3);
    const TileLayout layout(n, 10);
    const auto expected = factorise(a, layout, 0, true);
    index_t wrong = 0;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        CHECK(factorise(a, layout, seed, true) == expected);
        wrong += factorise(a, layout, seed, false) != expected;
    }
    CHECK(wrong > 0);
}

void test_nothing_is_found_where_all_is_well() {
    for (index_t seed = 0; seed < 20; ++seed) {
        const auto inspector =
            std::make_shared<Inspector>(Delays(static_cast<std::uint64_t>(seed)));
        tasks::RunOptions options{4};
        options.observer = inspector;
        tasks::TaskGraph graph(options);
        graph.new_handles(3);
        for (index_t i = 0; i < 60; ++i)
            graph.add({"access", i}, i % 5, {i % 3}, {(i + seed) % 3, i % 2}, [] {});
        graph.run();
        CHECK(inspector->tasks() == 60);
        CHECK(inspector->conflicts().empty());
    }
}

}  // namespace

int main() {
    tasks::Runtime::instance().start(4);
    test_a_missing_edge_is_found();
#if !defined(__SANITIZE_THREAD__)  // which would rightly end the program there
    test_delays_bring_a_missing_edge_to_light();
#endif
    test_nothing_is_found_where_all_is_well();
    tasks::Runtime::instance().stop();
    return gprat::check::report();
}
