#include "gprat/gp/predict.hpp"

#include <algorithm>
#include <array>
#include <numeric>

#include "gprat/gp/trend.hpp"
#include "gprat/linalg/access_list.hpp"
#include "gprat/linalg/blas.hpp"
#include "gprat/linalg/solve.hpp"
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

index_t variance_block(index_t test_points, int processors) {
    const index_t blocks = kBlocksPerProcessor * processors;
    // The packed matrix product works on 24 columns at a time, or a divisor of that.
    const auto even = [test_points](index_t count) {
        return ((test_points + count - 1) / count + 23) / 24 * 24;
    };
    const index_t least = std::clamp(even(kBlocksOfManyProcessors), kNarrowestBlock, kNarrowBlock);
    return std::clamp(even(blocks), least, kWidestBlock);
}

/// mean (points × outputs, row-major) += Aᵀ·B, with A (rows × points) and B (rows × outputs).
template <class T>
void add_products(MatrixView<const T> a, MatrixView<const T> b, T* mean) {
    if (b.cols == 1) {
        blas::gemm(blas::Op::transpose, blas::Op::none, T(1), a, b, T(1),
                   MatrixView<T>(mean, a.cols, 1));
    } else {
        blas::gemm(blas::Op::transpose, blas::Op::none, T(1), b, a, T(1),
                   MatrixView<T>(mean, b.cols, a.cols));
    }
}

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

/// target := sourceᵀ, of Region::lower without the diagonal. By squares whose columns are lines of
/// memory: entry by entry, either matrix would be walked across its columns.
template <class T>
void copy_transposed(MatrixView<const T> source, Region region, MatrixView<T> target) {
    constexpr index_t side = 64 / sizeof(T);
    for (index_t column = 0; column < source.cols; column += side)
        for (index_t row = region == Region::lower ? column : 0; row < source.rows; row += side)
            for (index_t r = row; r < std::min(row + side, source.rows); ++r) {
                const index_t end = std::min(column + side, source.cols);
                for (index_t c = column; c < (region == Region::lower ? std::min(end, r) : end);
                     ++c)
                    target(c, r) = source(r, c);
            }
}

/// covariance tile (p, q) := k(X*_p, X*_q) − V_pᵀV_q + G_pᵀG_q, and its mirror image.
template <class T>
Clipping explain_covariance_tile(const Problem<T>& problem, Points<T> rows, Points<T> cols,
                                 MatrixView<const T> v_rows, MatrixView<const T> v_cols,
                                 MatrixView<const T> g_rows, MatrixView<const T> g_cols,
                                 MatrixView<T> tile, MatrixView<T> mirror) {
    Clipping clipping;
    const bool diagonal = rows.first == cols.first;
    problem.kernel.evaluate(rows, cols, Pairing::same_set, diagonal ? Region::lower : Region::full,
                            tile);
    if (diagonal) {
        std::vector<T> prior(static_cast<std::size_t>(tile.rows));
        for (index_t r = 0; r < tile.rows; ++r) prior[r] = tile(r, r);
        blas::syrk(blas::Op::transpose, T(-1), v_rows, T(1), tile);
        for (index_t r = 0; r < tile.rows; ++r)
            tile(r, r) = static_cast<T>(clipping.clip(tile(r, r), prior[r]));
        blas::syrk(blas::Op::transpose, T(1), g_rows, T(1), tile);
    } else {
        blas::gemm(blas::Op::transpose, blas::Op::none, T(-1), v_rows, v_cols, T(1), tile);
        blas::gemm(blas::Op::transpose, blas::Op::none, T(1), g_rows, g_cols, T(1), tile);
    }
    copy_transposed<T>(tile, diagonal ? Region::lower : Region::full, mirror);
    return clipping;
}

}  // namespace

Clipping total(const std::vector<Clipping>& blocks) {
    Clipping sum;
    for (const auto& block : blocks) {
        sum.count += block.count;
        sum.worst = std::max(sum.worst, block.worst);
    }
    return sum;
}

template <class T>
void add_whitened_block(tasks::TaskGraph& graph, tasks::Rank rank, const Problem<T>& problem,
                        const Conditioning<T>& conditioning,
                        const ConditioningOperands<T>& operands, const TestPoints<T>& test,
                        const BlockOperand<T>& v, const TrendWorkspace<T>& workspace, index_t first,
                        tasks::Handle result, index_t q, T* mean) {
    const auto layout = problem.layout();
    T* const projected = workspace.projected_at(first, mean);
    for (index_t i = 0; i < layout.tiles(); ++i)
        graph.add({"cross_covariance", i, q, work::pairs(layout.extent(i), test.count()),
                   tasks::Unit::pairs},
                  rank, {}, {v.handle(i)}, [&problem, layout, points = test.points, v, i] {
                      problem.kernel.evaluate(tile_points(problem.inputs, layout, i), points,
                                              Pairing::cross, Region::full, v.row(i));
                  });
    add_solve_lower(graph, rank, operands.factor, v);
    graph.add(
        {"clear_mean", 0, q}, rank, {}, {result},
        [projected, size = test.count() * workspace.width] { std::fill_n(projected, size, T(0)); });
    for (index_t i = 0; i < layout.tiles(); ++i)
        graph.add({"mean_product", i, q, work::gemm(v.row(i), workspace.width)}, rank,
                  {v.handle(i), operands.whitened.handle(i)}, {result},
                  [v, z = operands.whitened, i, projected] {
                      add_products<T>(v.row(i), z.row(i), projected);
                  });
    if (conditioning.trends > 0)
        graph.add({"trend", 0, q}, rank, {}, {result},
                  [&conditioning, basis_t = test.basis_t, mean, projected,
                   g = workspace.g_at(first, test.count())] {
                      trend::split<T>(conditioning, basis_t, projected, mean, g);
                  });
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
VarianceWorkspace<T>::VarianceWorkspace(const Problem<T>& problem, index_t m,
                                        const tasks::TaskGraph& graph, index_t most_slots)
    : blocks(m, variance_block(m, graph.processors())),
      slots(std::clamp<index_t>(blocks.tiles(), 1, column_slots(graph, most_slots))),
      v(problem.size(), slots * blocks.tile_size()),
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

template <class T>
void add_predict_variance(tasks::TaskGraph& graph, const Problem<T>& problem,
                          const Conditioning<T>& conditioning,
                          const ConditioningOperands<T>& operands, TestPoints<T> test, T* mean,
                          T* variance, VarianceWorkspace<T>& workspace) {
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
        double* const explained = workspace.explained.data() + first;
        add_whitened_block(graph, rank, problem, conditioning, operands, block, v, workspace.trend,
                           first, results + q, q, mean + first * problem.outputs());
        graph.add({"clear_variance", 0, q}, rank, {}, {results + q},
                  [explained, size = block.count()] { std::fill_n(explained, size, 0.0); });
        for (index_t i = 0; i < layout.tiles(); ++i)
            graph.add({"variance", i, q, 2.0 * work::product(layout.extent(i), block.count())},
                      rank, {v.handle(i)}, {results + q},
                      [v, i, explained] { add_squared_norms<T>(v.row(i), explained); });
        graph.add({"variance", layout.tiles(), q}, rank, {}, {results + q},
                  [&problem, points = block.points, explained, target = variance + first,
                   g = workspace.trend.g_at(first, block.count()),
                   &clipped = workspace.clipped[static_cast<std::size_t>(q)]] {
                      clipped = prior_minus_explained<T>(problem, points, explained, g, target);
                  });
    }
}

template <class T>
void add_predict_covariance(tasks::TaskGraph& graph, const Problem<T>& problem,
                            const Conditioning<T>& conditioning,
                            const ConditioningOperands<T>& operands, TestPoints<T> test, T* mean,
                            T* covariance, const ColumnBuffer<T>& v, const TrendWorkspace<T>& trend,
                            std::vector<Clipping>& clipped) {
    const TileLayout blocks(test.count(), variance_block(test.count(), graph.processors()));
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
        add_whitened_block(graph, first_rank + q, problem, conditioning, operands, block,
                           columns[q], trend, first, results + q, q,
                           mean + first * problem.outputs());
    }
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
                [&problem, rows = tile_points(test.points, blocks, p),
                 cols = tile_points(test.points, blocks, q), vp = columns[p].values,
                 vq = columns[q].values, gp = trend.g_at(blocks.begin(p), blocks.extent(p)),
                 gq = trend.g_at(blocks.begin(q), blocks.extent(q)), tile, mirror, p, q, &clipped] {
                    const auto clipping = explain_covariance_tile<T>(problem, rows, cols, vp, vq,
                                                                     gp, gq, tile, mirror);
                    if (p == q) clipped[static_cast<std::size_t>(p)] = clipping;
                });
        }
}

#define GPRAT_INSTANTIATE(T)                                                                     \
    template void add_whitened_block(                                                            \
        tasks::TaskGraph&, tasks::Rank, const Problem<T>&, const Conditioning<T>&,               \
        const ConditioningOperands<T>&, const TestPoints<T>&, const BlockOperand<T>&,            \
        const TrendWorkspace<T>&, index_t, tasks::Handle, index_t, T*);                          \
    template double prediction_flops(const Problem<T>&, index_t, Prediction);                    \
    template struct VarianceWorkspace<T>;                                                        \
    template void add_predict_mean(tasks::TaskGraph&, const Problem<T>&, const Conditioning<T>&, \
                                   const ConditioningOperands<T>&, TestPoints<T>, T*);           \
    template void add_predict_variance(tasks::TaskGraph&, const Problem<T>&,                     \
                                       const Conditioning<T>&, const ConditioningOperands<T>&,   \
                                       TestPoints<T>, T*, T*, VarianceWorkspace<T>&);            \
    template void add_predict_covariance(tasks::TaskGraph&, const Problem<T>&,                   \
                                         const Conditioning<T>&, const ConditioningOperands<T>&, \
                                         TestPoints<T>, T*, T*, const ColumnBuffer<T>&,          \
                                         const TrendWorkspace<T>&, std::vector<Clipping>&);
GPRAT_INSTANTIATE(float)
GPRAT_INSTANTIATE(double)
#undef GPRAT_INSTANTIATE

}  // namespace gprat::gp
