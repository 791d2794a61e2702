#include "gprat/gp/products.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "gprat/linalg/work.hpp"

namespace gprat::gp {

namespace {

// Points of a block: its values stay in the second-level cache. Blocks are equal or have no point
// in common, as kernels in Python want it.
constexpr index_t kBlock = 192;

/// Evaluation of a pair counts as ten operations.
constexpr double kPair = 10.0;

/// Σ kᵢbᵢ and Σ |kᵢbᵢ|.
struct DotProduct {
    double value, magnitude;
};

template <class T>
DotProduct dot(const T* k, const T* b, index_t count) {
    // Sums side by side: quicker than one, and with less rounding.
    constexpr index_t kLanes = 8;
    std::array<double, kLanes> values{}, magnitudes{};
    const auto add = [&](index_t i, index_t lane) {
        const double term = static_cast<double>(k[i]) * static_cast<double>(b[i]);
        values[lane] += term;
        magnitudes[lane] += std::abs(term);
    };
    index_t i = 0;
    for (; i + kLanes <= count; i += kLanes)
        for (index_t lane = 0; lane < kLanes; ++lane) add(i + lane, lane);
    for (; i < count; ++i) add(i, i % kLanes);
    return {std::accumulate(values.begin(), values.end(), 0.0),
            std::accumulate(magnitudes.begin(), magnitudes.end(), 0.0)};
}

/// Rows of the products that belong to the points of a block.
template <class T>
void multiply_rows(const Problem<T>& problem, const TileLayout& blocks, index_t p,
                   MatrixView<const T> b, const Products& products) {
    const auto points = tile_points(problem.inputs, blocks, p);
    const MatrixView<double> values(products.values.data(), b.rows, b.cols);
    const MatrixView<double> magnitudes(products.magnitudes.data(), b.rows, b.cols);
    const ThreadScratch<T> scratch(kBlock * kBlock);
    for (index_t q = 0; q < blocks.tiles(); ++q) {
        const MatrixView<T> k(scratch.data(), blocks.extent(q), points.count);
        problem.kernel.evaluate(tile_points(problem.inputs, blocks, q), points,
                                covariance::Pairing::same_set, covariance::Region::full, k);
        for (index_t c = 0; c < b.cols; ++c)
            for (index_t j = 0; j < points.count; ++j) {
                const auto sum = dot(k.column(j), b.column(c) + blocks.begin(q), k.rows);
                values(points.first + j, c) += sum.value;
                magnitudes(points.first + j, c) += sum.magnitude;
            }
        if (p == q)
            for (index_t j = 0; j < points.count; ++j)
                products.diagonal[points.first + j] = static_cast<double>(k(j, j));
    }
}

/// Noise on its own, to the digits that it has beside a variance of the dtype that is far larger.
template <class T>
void add_noise(const Problem<T>& problem, const TileLayout& blocks, index_t p,
               MatrixView<const T> b, const Products& products) {
    for (index_t i = blocks.begin(p); i < blocks.begin(p) + blocks.extent(p); ++i) {
        const double noise = problem.noise_at(i);
        products.diagonal[i] += noise;
        for (index_t c = 0; c < b.cols; ++c) {
            const double term = noise * static_cast<double>(b(i, c));
            products.values[i + c * b.rows] += term;
            products.magnitudes[i + c * b.rows] += std::abs(term);
        }
    }
}

}  // namespace

template <class T>
Products multiply_covariance(const Problem<T>& problem, MatrixView<const T> b,
                             const tasks::RunOptions& options) {
    const index_t n = problem.size(), size = n * b.cols;
    Products products{Buffer<double>(size), Buffer<double>(size), Buffer<double>(n)};
    std::fill_n(products.values.data(), size, 0.0);
    std::fill_n(products.magnitudes.data(), size, 0.0);
    const TileLayout blocks(n, kBlock);
    const double flops = kPair * work::pairs(n, n) + 4.0 * work::product(n, n, b.cols);
    tasks::TaskGraph graph(with_threads_for(options, flops));
    for (index_t p = 0; p < blocks.tiles(); ++p)
        graph.add({"product", p, 0, work::pairs(n, blocks.extent(p)), tasks::Unit::pairs}, 0, {},
                  {}, [&problem, blocks, p, b, &products] {
                      multiply_rows(problem, blocks, p, b, products);
                      add_noise(problem, blocks, p, b, products);
                  });
    graph.run();
    return products;
}

template Products multiply_covariance(const Problem<float>&, MatrixView<const float>,
                                      const tasks::RunOptions&);
template Products multiply_covariance(const Problem<double>&, MatrixView<const double>,
                                      const tasks::RunOptions&);

}  // namespace gprat::gp
