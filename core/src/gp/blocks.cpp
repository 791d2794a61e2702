#include "gprat/gp/blocks.hpp"

#include <algorithm>

#include "gprat/error.hpp"
#include "gprat/gp/assembly.hpp"
#include "gprat/gp/contraction.hpp"
#include "gprat/gp/problem.hpp"
#include "gprat/linalg/access_list.hpp"
#include "gprat/linalg/cholesky.hpp"
#include "gprat/linalg/copy.hpp"
#include "gprat/linalg/inverse.hpp"
#include "gprat/linalg/multiply.hpp"
#include "gprat/linalg/solve.hpp"
#include "gprat/linalg/work.hpp"

namespace gprat::gp::blocks {

namespace {

using blas::Op;
using covariance::Pairing;
using covariance::Points;

/// A tile of a block, and where it lies there.
template <class T>
struct Tile {
    MatrixView<T> values;
    index_t row;
    index_t column;
    bool is_symmetric;  ///< on the diagonal of a triangle, where the lower triangle counts
};

template <class T>
void visit_tiles(const DenseOperand<T>& block, auto&& visit) {
    for (index_t j = 0; j < block.columns.tiles(); ++j)
        for (index_t i = 0; i < block.rows.tiles(); ++i)
            visit(i, j,
                  Tile<T>{block.block(i, j), block.rows.begin(i), block.columns.begin(j), false});
}

template <class T>
void visit_tiles(const TiledOperand<T>& block, auto&& visit) {
    const auto& layout = block.layout();
    for (index_t j = 0; j < layout.tiles(); ++j)
        for (index_t i = j; i < layout.tiles(); ++i)
            visit(i, j, Tile<T>{block.matrix.tile(i, j), layout.begin(i), layout.begin(j), i == j});
}

// What a tile is before products are added.

template <class T>
struct StartTile {
    Tile<T> tile;

    void operator()(std::monostate) const {
        for (index_t c = 0; c < tile.values.cols; ++c)
            std::fill_n(tile.values.column(c), tile.values.rows, T(0));
    }
    void operator()(MatrixView<const T> from) const {
        copy_columns<T>(from.block(tile.row, tile.column, tile.values.rows, tile.values.cols),
                        tile.values);
    }
    void operator()(const TiledMatrix<T>* from) const {
        const index_t side = from->layout().tile_size();
        copy_columns<T>(from->tile(tile.row / side, tile.column / side), tile.values);
    }
    void operator()(const Covariances<T>& from) const {
        const auto rows = from.rows.slice(tile.row, tile.values.rows);
        const auto columns = from.columns.slice(tile.column, tile.values.cols);
        if (from.pairing == Pairing::cross) {
            from.kernel.evaluate(rows, columns, Pairing::cross, covariance::Region::full,
                                 tile.values);
            return;
        }
        const auto noise_at = [&from](index_t point) {
            return from.noise.empty() ? 0.0 : from.noise[point - from.rows.first];
        };
        assemble_tile(from.kernel, rows, columns, noise_at, tile.values);
    }
};

// Products.

/// Inner indices [begin, end).
struct Inner {
    index_t begin;
    index_t end;
    index_t size() const { return std::max<index_t>(end - begin, 0); }
};

/// Where a tile's rows of op(A), and its columns of op(B), are not zero.
template <class T>
Inner inner_of(const Product<T>& product, const Tile<T>& tile) {
    Inner inner{0, product.left.cols()};
    const auto [a, b] = std::pair(product.left, product.right);
    if (a.shape == Shape::lower && a.op == Op::none)
        inner.end = std::min(inner.end, tile.row + tile.values.rows);
    if (a.shape == Shape::lower && a.op == Op::transpose)
        inner.begin = std::max(inner.begin, tile.row);
    if (b.shape == Shape::lower && b.op == Op::none)
        inner.begin = std::max(inner.begin, tile.column);
    if (b.shape == Shape::lower && b.op == Op::transpose)
        inner.end = std::min(inner.end, tile.column + tile.values.cols);
    return inner;
}

/// The block of A that op turns into rows × columns of op(A).
template <class T>
MatrixView<const T> part(const Factor<T>& factor, index_t row, index_t rows, index_t column,
                         index_t columns) {
    return factor.op == Op::none ? factor.a.block(row, column, rows, columns)
                                 : factor.a.block(column, row, columns, rows);
}

/// to := A·diag(weights) for Op::none, diag(weights)·A for Op::transpose.
template <class T>
void weigh(Op op, MatrixView<const T> a, const T* weights, MatrixView<T> to) {
    for (index_t c = 0; c < a.cols; ++c)
        for (index_t r = 0; r < a.rows; ++r) to(r, c) = weights[op == Op::none ? c : r] * a(r, c);
}

template <class T>
void add_product(const Product<T>& product, const Tile<T>& tile) {
    const auto inner = inner_of(product, tile);
    if (inner.size() == 0) return;
    const auto& [scale, left, right, weights] = product;
    const auto c = tile.values;
    const auto a = part(left, tile.row, c.rows, inner.begin, inner.size());
    const auto b = part(right, inner.begin, inner.size(), tile.column, c.cols);
    const auto alpha = static_cast<T>(scale);
    if (weights != nullptr) {
        const ThreadScratch<T> scratch(a.rows * a.cols);
        const MatrixView<T> weighed(scratch.data(), a.rows, a.cols);
        weigh(left.op, a, weights + inner.begin, weighed);
        blas::gemm(left.op, right.op, alpha, weighed, b, T(1), c);
    } else if (tile.is_symmetric && left.a.data == right.a.data && left.op != right.op) {
        blas::syrk(left.op, alpha, a, T(1), c);
    } else {
        blas::gemm(left.op, right.op, alpha, a, b, T(1), c);
    }
}

template <class T>
double flops_of(const Sum<T>& sum, const Tile<T>& tile) {
    double inner = 0.0;
    for (const auto& product : sum.products)
        inner += static_cast<double>(inner_of(product, tile).size());
    return (tile.is_symmetric ? 1.0 : 2.0) * inner *
           work::product(tile.values.rows, tile.values.cols);
}

template <class T>
void compute_tile(const Sum<T>& sum, const Tile<T>& tile) {
    std::visit(StartTile<T>{tile}, sum.start);
    for (const auto& product : sum.products) add_product(product, tile);
}

template <class T, class Block>
void add_sum(tasks::TaskGraph& graph, const Sum<T>& sum, const Block& block) {
    visit_tiles(block, [&](index_t i, index_t j, const Tile<T>& tile) {
        graph.add({"block_sum", i, j, flops_of(sum, tile)}, CholeskyRanks::feed(j), {},
                  {block.handle(i, j)}, [&sum, tile] { compute_tile(sum, tile); });
    });
}

/// What work on a block counts, so that small ones are done by the caller.
template <class T>
double total_flops(const Sum<T>& sum, index_t rows, index_t columns) {
    double inner = static_cast<double>(std::max(rows, columns)) + 10.0;
    for (const auto& product : sum.products) inner += static_cast<double>(product.left.cols());
    return 2.0 * inner * work::product(rows, columns);
}

template <class T>
void add_finish(tasks::TaskGraph& graph, Finish finish, const TiledOperand<T>& l,
                const DenseOperand<T>& block) {
    if (finish == Finish::solve_from_right) return add_solve_lower_from_right(graph, l, block);
    const auto rank = CholeskyRanks::end(block.columns);
    for (index_t j = 0; j < block.columns.tiles(); ++j) {
        const auto strip = block.strip(j);
        switch (finish) {
            case Finish::solve:
                add_solve_lower(graph, rank, l, strip);
                break;
            case Finish::solve_transposed:
                add_solve_lower_transposed(graph, rank, l, strip);
                break;
            case Finish::multiply:
                add_multiply_lower(graph, rank, l, strip);
                break;
            case Finish::multiply_transposed:
                add_multiply_lower_transposed(graph, rank, l, strip);
                break;
            default:
                throw InvalidArgument("a block is finished in no such way");
        }
    }
}

/// Where a block's derivatives go, part by part.
template <class T>
struct Sink {
    const Covariances<T>& of;
    PartialGradients& parameters;
    BlockAdjoint& result;

    static double* at(Buffer<double>& all, index_t row, index_t dimension) {
        return all.size() == 0 ? nullptr : all.data() + row * dimension;
    }
};

template <class T>
void contract_one(const Sink<T>& sink, bool is_triangle, index_t slot, const Tile<T>& tile) {
    const auto& of = sink.of;
    const auto values = tile.values;
    const index_t d = of.rows.dimension;
    auto& by_columns = is_triangle ? sink.result.rows : sink.result.columns;
    const covariance::GradientSink<T> out{sink.parameters.part(slot),
                                          Sink<T>::at(sink.result.rows, tile.row, d),
                                          Sink<T>::at(by_columns, tile.column, d)};
    if (tile.is_symmetric)
        for (index_t r = 0; r < values.rows; ++r)
            sink.result.noise[tile.row + r] = static_cast<double>(values(r, r));
    if (is_triangle && !tile.is_symmetric) copy_columns<T>(values, values, T(2));
    const auto rows = of.rows.slice(tile.row, values.rows);
    const auto columns = of.columns.slice(tile.column, values.cols);
    if (of.pairing == Pairing::same_set)
        contract_pairs<T>(of.kernel, rows, columns, values, out);
    else
        of.kernel.accumulate_gradient(rows, columns, Pairing::cross, covariance::Region::full,
                                      values, out);
}

template <class T, class Block>
void add_contraction(tasks::TaskGraph& graph, const Sink<T>& sink, bool is_triangle,
                     const Block& block, tasks::Handle rows, tasks::Handle columns) {
    index_t slot = 0;
    visit_tiles(block, [&](index_t i, index_t j, const Tile<T>& tile) {
        AccessList writes;
        writes.add(block.handle(i, j));
        if (sink.result.rows.size() > 0) {
            writes.add(rows + i);
            if (!tile.is_symmetric) writes.add(columns + j);
        }
        graph.add({"block_contract", i, j, work::pairs(tile.values.rows, tile.values.cols),
                   tasks::Unit::pairs},
                  CholeskyRanks::feed(j), AccessList(), writes, [&sink, is_triangle, slot, tile] {
                      contract_one(sink, is_triangle, slot, tile);
                  });
        ++slot;
    });
}

Buffer<double> zeros(index_t size) {
    Buffer<double> values(size);
    std::fill_n(values.data(), size, 0.0);
    return values;
}

}  // namespace

template <class T>
void compute(const Sum<T>& sum, Finish finish, const TiledMatrix<T>* l, index_t tile_size,
             MatrixView<T> block, const tasks::RunOptions& options) {
    blas::initialise();
    tasks::TaskGraph graph(with_threads_for(options, total_flops(sum, block.rows, block.cols)));
    const DenseOperand<T> operand(graph, block, tile_size);
    add_sum(graph, sum, operand);
    if (finish != Finish::none) add_finish(graph, finish, TiledOperand<T>(graph, *l), operand);
    graph.run();
}

template <class T>
void compute_triangle(const Sum<T>& sum, TriangleFinish finish, const TiledMatrix<T>& block,
                      const tasks::RunOptions& options) {
    blas::initialise();
    const index_t size = block.layout().size();
    tasks::TaskGraph graph(with_threads_for(options, total_flops(sum, size, size)));
    const TiledOperand<T> operand(graph, block);
    add_sum(graph, sum, operand);
    if (finish == TriangleFinish::cholesky) add_cholesky(graph, operand);
    if (finish == TriangleFinish::inverse) add_triangular_inverse(graph, 0, operand);
    graph.run();
}

template <class T>
BlockAdjoint contract(const Sum<T>& adjoint, const Covariances<T>& of, Wanted wanted,
                      index_t tile_size, const tasks::RunOptions& options) {
    blas::initialise();
    const auto wants = [wanted](Wanted what) {
        return (static_cast<unsigned>(wanted) & static_cast<unsigned>(what)) != 0;
    };
    const index_t rows = of.rows.count, columns = of.columns.count, d = of.rows.dimension;
    const bool is_triangle = of.pairing == Pairing::same_set && of.rows.first == of.columns.first;
    const TileLayout of_rows(rows, tile_size), of_columns(columns, tile_size);
    PartialGradients partial(of_rows.tiles() * of_columns.tiles(),
                             wants(Wanted::parameters) ? of.kernel.parameter_count() : 0);
    BlockAdjoint result;
    if (is_triangle) result.noise = zeros(rows);
    if (wants(Wanted::points)) {
        result.rows = zeros(rows * d);
        if (!is_triangle) result.columns = zeros(columns * d);
    }
    const Sink<T> sink{of, partial, result};
    TiledMatrix<T> triangle;
    Buffer<T> dense;
    tasks::TaskGraph graph(with_threads_for(options, total_flops(adjoint, rows, columns)));
    const auto row_handles = graph.new_handles(of_rows.tiles());
    const auto add = [&](const auto& block, tasks::Handle column_handles) {
        add_sum(graph, adjoint, block);
        add_contraction(graph, sink, is_triangle, block, row_handles, column_handles);
    };
    if (is_triangle) {
        triangle = TiledMatrix<T>(of_rows);
        add(TiledOperand<T>(graph, triangle), row_handles);
    } else {
        dense = Buffer<T>(rows * columns);
        add(DenseOperand<T>(graph, {dense.data(), rows, columns}, tile_size),
            graph.new_handles(of_columns.tiles()));
    }
    graph.run();
    result.parameters = partial.sum();
    return result;
}

#define GPRAT_INSTANTIATE(T)                                                                    \
    template void compute(const Sum<T>&, Finish, const TiledMatrix<T>*, index_t, MatrixView<T>, \
                          const tasks::RunOptions&);                                            \
    template void compute_triangle(const Sum<T>&, TriangleFinish, const TiledMatrix<T>&,        \
                                   const tasks::RunOptions&);                                   \
    template BlockAdjoint contract(const Sum<T>&, const Covariances<T>&, Wanted, index_t,       \
                                   const tasks::RunOptions&);
GPRAT_INSTANTIATE(float)
GPRAT_INSTANTIATE(double)
#undef GPRAT_INSTANTIATE

}  // namespace gprat::gp::blocks
