#include "gprat/gp/predict.hpp"

#include <algorithm>
#include <array>
#include <numeric>

#include "gprat/gp/covariance_tile.hpp"
#include "gprat/gp/trend.hpp"
#include "gprat/linalg/access_list.hpp"
#include "gprat/linalg/work.hpp"

namespace gprat::gp {

namespace {

using covariance::Pairing;
using covariance::Points;
using covariance::Region;

// Test points and training points that a task of the mean takes at a time: the kernel's values
// stay in the second-level cache.
constexpr index_t kMeanPoints = 128;
constexpr index_t kMeanRows = 512;

// Columns of V that one task updates: as wide as GEMM likes, whatever the tile size, but some
// blocks for each processor of the machine. Not for each thread: results would depend on their
// number. Narrow blocks read the factor more often than the memory of many processors can give it.
constexpr index_t kWidestBlock = 768, kNarrowBlock = 192, kNarrowestBlock = 96;
constexpr index_t kBlocksPerProcessor = 2, kBlocksOfManyProcessors = 32;

template <class T>
void predict_mean_of_block(const Problem<T>& problem, MatrixView<const T> alpha, Points<T> points,
                           T* mean) {
    std::fill_n(mean, points.count * alpha.cols, T(0));
    const ThreadScratch<T> scratch(kMeanRows * points.count);
    for (index_t begin = 0; begin < problem.size(); begin += kMeanRows) {
        const index_t end = std::min(begin + kMeanRows, problem.size());
        const MatrixView<T> k(scratch.data(), end - begin, points.count);
        problem.kernel.evaluate(problem.inputs.slice(begin, end - begin), points, Pairing::cross,
                                Region::full, k);
        add_products<T>(k, alpha.block(begin, 0, end - begin, alpha.cols), mean);
    }
}

template <class T>
void add_squared_norms(MatrixView<const T> v, double* sums) {
    // Sums side by side: one alone would wait for each addition.
    constexpr index_t kLanes = 8;
    for (index_t j = 0; j < v.cols; ++j) {
        std::array<double, kLanes> lanes{};
        const T* const column = v.column(j);
        index_t i = 0;
        for (; i + kLanes <= v.rows; i += kLanes)
            for (index_t lane = 0; lane < kLanes; ++lane) {
                const auto value = static_cast<double>(column[i + lane]);
                lanes[lane] += value * value;
            }
        for (; i < v.rows; ++i) {
            const auto value = static_cast<double>(column[i]);
            lanes[0] += value * value;
        }
        sums[j] += std::accumulate(lanes.begin(), lanes.end(), 0.0);
    }
}

template <class T>
Clipping prior_minus_explained(const Problem<T>& problem, Points<T> points, const double* explained,
                               MatrixView<const T> g, T* variance) {
    problem.kernel.diagonal(points, variance);
    Clipping clipping;
    for (index_t j = 0; j < points.count; ++j) {
        const auto prior = static_cast<double>(variance[j]);
        double value = clipping.clip(prior - explained[j], prior);
        for (index_t i = 0; i < g.rows; ++i)
            value += static_cast<double>(g(i, j)) * static_cast<double>(g(i, j));
        variance[j] = static_cast<T>(value);
    }
    return clipping;
}

}  // namespace

index_t columns_per_block(index_t test_points, int processors) {
    const index_t blocks = kBlocksPerProcessor * processors;
    // The packed matrix product works on 24 columns at a time, or a divisor of that.
    const auto even = [test_points](index_t count) {
        return ((test_points + count - 1) / count + 23) / 24 * 24;
    };
    const index_t least = std::clamp(even(kBlocksOfManyProcessors), kNarrowestBlock, kNarrowBlock);
    return std::clamp(even(blocks), least, kWidestBlock);
}

Clipping total(const std::vector<Clipping>& blocks) {
    Clipping sum;
    for (const auto& block : blocks) {
        sum.count += block.count;
        sum.worst = std::max(sum.worst, block.worst);
    }
    return sum;
}

template <class T>
double prediction_flops(const Problem<T>& problem, index_t m, Prediction prediction) {
    const auto n = static_cast<double>(problem.size());
    const auto points = static_cast<double>(m);
    const double entries = 10.0 * n * points;
    if (prediction == Prediction::mean) return entries;
    const double variance = entries + n * n * points;
    return prediction == Prediction::variance ? variance : variance + n * points * points;
}

template <class T>
VarianceWorkspace<T>::VarianceWorkspace(const Problem<T>& problem, index_t m, index_t group,
                                        const tasks::TaskGraph& graph, index_t most_slots)
    : blocks(m, columns_in_groups(columns_per_block(m, graph.processors()), group)),
      slots(std::clamp<index_t>(blocks.tiles(), 1, most_slots)),
      v(problem.size(), std::min(m, slots * blocks.tile_size())),
      explained(m),
      clipped(static_cast<std::size_t>(blocks.tiles())),
      trend(problem, m) {}

template <class T>
void add_predict_mean(tasks::TaskGraph& graph, const Problem<T>& problem,
                      const Conditioning<T>& conditioning, const ConditioningOperands<T>& operands,
                      TestPoints<T> test, T* mean) {
    const TileLayout blocks(test.count(), kMeanPoints);
    const auto rank = rank_after_conditioning(problem.layout());
    for (index_t q = 0; q < blocks.tiles(); ++q)
        graph.add({"mean", 0, q, work::pairs(problem.size(), blocks.extent(q)), tasks::Unit::pairs},
                  rank, {operands.all_weights}, {},
                  [&problem, &conditioning, block = test.tile(blocks, q),
                   target = mean + blocks.begin(q) * problem.outputs()] {
                      predict_mean_of_block<T>(problem, conditioning.alpha(), block.points, target);
                      trend::add_mean<T>(conditioning, block.basis_t, target);
                  });
}

/// Adds the variances of a block: prior, less ‖V_j‖², plus ‖g‖².
template <class T>
void add_variances(tasks::TaskGraph& graph, tasks::Rank rank, const Problem<T>& problem,
                   const VarianceWorkspace<T>& workspace, Points<T> points,
                   const BlockOperand<T>& v, tasks::Handle result, index_t q, T* variance,
                   Clipping& clipped) {
    const auto& layout = v.layout;
    double* const explained = workspace.explained.data() + points.first;
    graph.add({"clear_variance", 0, q}, rank, {}, {result},
              [explained, size = points.count] { std::fill_n(explained, size, 0.0); });
    for (index_t i = 0; i < layout.tiles(); ++i)
        graph.add({"variance", i, q, 2.0 * work::product(layout.extent(i), points.count)}, rank,
                  {v.handle(i)}, {result},
                  [v, i, explained] { add_squared_norms<T>(v.row(i), explained); });
    graph.add({"variance", layout.tiles(), q}, rank, {}, {result},
              [&problem, points, explained, target = variance + points.first,
               g = workspace.trend.g_at(points.first, points.count), &clipped] {
                  clipped = prior_minus_explained<T>(problem, points, explained, g, target);
              });
}

/// Adds the joint covariances of a block's groups.
template <class T>
void add_group_covariances(tasks::TaskGraph& graph, tasks::Rank rank, const Problem<T>& problem,
                           const VarianceWorkspace<T>& workspace, Points<T> points, index_t group,
                           const BlockOperand<T>& v, tasks::Handle result, index_t q, T* covariance,
                           Clipping& clipped) {
    const auto layout = v.layout;
    const double flops = work::product(layout.size(), points.count, group);
    graph.add(
        {"covariance", q, q, flops}, rank, AccessList().rows(v, {0, layout.tiles()}).add(result),
        AccessList(),
        [&problem, &trend = workspace.trend, points, group, v = v.values, covariance, &clipped] {
            std::vector<Clipping> of_groups;
            for (index_t begin = 0; begin < points.count; begin += group) {
                const WhitenedPoints<T> known{points.slice(begin, group),
                                              v.block(0, begin, v.rows, group),
                                              trend.g_at(points.first + begin, group)};
                const MatrixView<T> tile(covariance + (points.first + begin) * group, group, group);
                of_groups.push_back(explain_covariance_tile<T>(problem, known, known, tile, tile));
            }
            clipped = total(of_groups);
        });
}

template <class T>
void add_predict_groups(tasks::TaskGraph& graph, const Problem<T>& problem,
                        const Conditioning<T>& conditioning,
                        const ConditioningOperands<T>& operands, TestPoints<T> test, index_t group,
                        T* mean, T* covariance, VarianceWorkspace<T>& workspace) {
    const auto& blocks = workspace.blocks;
    const auto layout = problem.layout();
    const auto results = graph.new_handles(blocks.tiles());
    const auto first_rank = rank_after_conditioning(layout);

    // A slot keeps its handles, so that the next block in it waits for the last one.
    std::vector<tasks::Handle> slot_handles;
    for (index_t slot = 0; slot < workspace.slots; ++slot)
        slot_handles.push_back(
            graph.new_handles(layout.tiles(), bytes_of<T>(layout.tile_size(), blocks.tile_size())));

    for (index_t q = 0; q < blocks.tiles(); ++q) {
        const auto rank = first_rank + q;
        const auto block = test.tile(blocks, q);
        const index_t first = blocks.begin(q);
        const BlockOperand<T> v(workspace.block(q), layout, slot_handles[q % workspace.slots]);
        auto& clipped = workspace.clipped[static_cast<std::size_t>(q)];
        add_whitening(graph, rank, problem, operands, block, v, q);
        add_projection(graph, rank, conditioning, operands, block, v, workspace.trend, first,
                       results + q, q, mean + first * problem.outputs());
        if (group == 1)
            add_variances(graph, rank, problem, workspace, block.points, v, results + q, q,
                          covariance, clipped);
        else
            add_group_covariances(graph, rank, problem, workspace, block.points, group, v,
                                  results + q, q, covariance, clipped);
    }
}

template <class T>
void add_predict_covariance(tasks::TaskGraph& graph, const Problem<T>& problem,
                            const Conditioning<T>& conditioning,
                            const ConditioningOperands<T>& operands, TestPoints<T> test, T* mean,
                            T* covariance, const ColumnBuffer<T>& v, const TrendWorkspace<T>& trend,
                            std::vector<Clipping>& clipped) {
    const TileLayout blocks(test.count(), columns_per_block(test.count(), graph.processors()));
    clipped.assign(static_cast<std::size_t>(blocks.tiles()), {});
    const auto layout = problem.layout();
    const index_t n = problem.size();
    const index_t m = test.count();
    const auto results = graph.new_handles(blocks.tiles());
    const auto first_rank = rank_after_conditioning(layout);

    std::vector<BlockOperand<T>> columns;
    for (index_t q = 0; q < blocks.tiles(); ++q) {
        const index_t first = blocks.begin(q);
        const auto block = test.tile(blocks, q);
        columns.emplace_back(graph, v.columns(first, blocks.extent(q)), layout);
        add_whitening(graph, first_rank + q, problem, operands, block, columns[q], q);
        add_projection(graph, first_rank + q, conditioning, operands, block, columns[q], trend,
                       first, results + q, q, mean + first * problem.outputs());
    }
    const auto whitened = [&](index_t q) {
        return WhitenedPoints<T>{tile_points(test.points, blocks, q), columns[q].values,
                                 trend.g_at(blocks.begin(q), blocks.extent(q))};
    };
    const MatrixView<T> out(covariance, m, m);
    for (index_t p = 0; p < blocks.tiles(); ++p)
        for (index_t q = 0; q <= p; ++q) {
            const auto tile =
                out.block(blocks.begin(p), blocks.begin(q), blocks.extent(p), blocks.extent(q));
            const auto mirror =
                out.block(blocks.begin(q), blocks.begin(p), blocks.extent(q), blocks.extent(p));
            graph.add(
                {"covariance", p, q, p == q ? work::syrk(tile, n) : work::gemm(tile, n)},
                first_rank + p,
                AccessList()
                    .rows(columns[p], {0, layout.tiles()})
                    .rows(columns[q], {0, layout.tiles()})
                    .add(results + p)
                    .add(results + q),
                AccessList(),
                [&problem, rows = whitened(p), cols = whitened(q), tile, mirror, p, q, &clipped] {
                    const auto clipping =
                        explain_covariance_tile<T>(problem, rows, cols, tile, mirror);
                    if (p == q) clipped[static_cast<std::size_t>(p)] = clipping;
                });
        }
}

#define GPRAT_INSTANTIATE(T)                                                                       \
    template double prediction_flops(const Problem<T>&, index_t, Prediction);                      \
    template struct VarianceWorkspace<T>;                                                          \
    template void add_predict_mean(tasks::TaskGraph&, const Problem<T>&, const Conditioning<T>&,   \
                                   const ConditioningOperands<T>&, TestPoints<T>, T*);             \
    template void add_predict_groups(tasks::TaskGraph&, const Problem<T>&, const Conditioning<T>&, \
                                     const ConditioningOperands<T>&, TestPoints<T>, index_t, T*,   \
                                     T*, VarianceWorkspace<T>&);                                   \
    template void add_predict_covariance(tasks::TaskGraph&, const Problem<T>&,                     \
                                         const Conditioning<T>&, const ConditioningOperands<T>&,   \
                                         TestPoints<T>, T*, T*, const ColumnBuffer<T>&,            \
                                         const TrendWorkspace<T>&, std::vector<Clipping>&);
GPRAT_INSTANTIATE(float)
GPRAT_INSTANTIATE(double)
#undef GPRAT_INSTANTIATE

}  // namespace gprat::gp
