#include "gprat/gp/leave_one_out.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "gprat/linalg/access_list.hpp"
#include "gprat/linalg/blas.hpp"
#include "gprat/linalg/solve.hpp"

namespace gprat::gp {

namespace {

using blas::Op;

template <class T>
double squared_norm_of_row(MatrixView<T> a, index_t row) {
    double sum = 0.0;
    for (index_t c = 0; c < a.cols; ++c)
        sum += static_cast<double>(a(row, c)) * static_cast<double>(a(row, c));
    return sum;
}

template <class T>
void copy_scaled(MatrixView<const T> from, T factor, MatrixView<T> to) {
    for (index_t c = 0; c < to.cols; ++c)
        for (index_t r = 0; r < to.rows; ++r) to(r, c) = factor * from(r, c);
}

/// Tile (i, j) of a symmetric matrix of which the lower triangle is stored.
template <class T>
struct SymmetricTile {
    Op op;
    MatrixView<T> stored;

    SymmetricTile(const TiledMatrix<T>& matrix, index_t i, index_t j)
        : op(i >= j ? Op::none : Op::transpose),
          stored(i >= j ? matrix.tile(i, j) : matrix.tile(j, i)) {}

    index_t rows() const { return op == Op::none ? stored.rows : stored.cols; }
    index_t cols() const { return op == Op::none ? stored.cols : stored.rows; }
    T operator()(index_t r, index_t c) const {
        return op == Op::none ? stored(r, c) : stored(c, r);
    }
};

}  // namespace

template <class T>
void LeaveOneOut<T>::allocate() {
    const index_t n = conditioning_.size;
    const index_t width = conditioning_.outputs + conditioning_.trends;
    c_ = Buffer<T>(n);
    columns_ = Buffer<T>(n * width);
    products_ = Buffer<T>(n * width);
    left_ = Buffer<T>(n * rank());
    right_ = Buffer<T>(n * rank());
}

template <class T>
void LeaveOneOut<T>::compute_coefficients() {
    const auto& s = conditioning_.factor;
    const auto layout = s.layout();
    const auto alpha = conditioning_.alpha(), u = conditioning_.trend_weights();
    const auto k = static_cast<double>(conditioning_.outputs);
    double sum = 0.0;
    for (index_t i = 0; i < conditioning_.size; ++i) {
        const index_t tile = i / layout.tile_size(), r = i - layout.begin(tile);
        const double precision =
            static_cast<double>(s.tile(tile, tile)(r, r)) - squared_norm_of_row(u, i);
        const double fit = squared_norm_of_row(alpha, i) / precision;
        sum += k * std::log(precision) - fit;
        const double coefficient = 0.5 * (k + fit) / precision;
        c_[i] = static_cast<T>(coefficient);
        for (index_t o = 0; o < alpha.cols; ++o)
            columns_[i + o * alpha.rows] =
                static_cast<T>(static_cast<double>(alpha(i, o)) / precision);
        for (index_t q = 0; q < u.cols; ++q)
            columns_[i + (alpha.cols + q) * u.rows] = static_cast<T>(coefficient) * u(i, q);
    }
    const double n = static_cast<double>(conditioning_.size);
    value_ = 0.5 * (sum - k * n * std::log(2.0 * std::numbers::pi));
}

template <class T>
void LeaveOneOut<T>::mirror_diagonal(index_t tile) const {
    const auto block = conditioning_.factor.tile(tile, tile);
    for (index_t c = 0; c < block.cols; ++c)
        for (index_t r = 0; r < c; ++r) block(r, c) = block(c, r);
}

template <class T>
void LeaveOneOut<T>::multiply_row(index_t i) {
    const auto layout = problem_.layout();
    const index_t n = conditioning_.size;
    const index_t width = conditioning_.outputs + conditioning_.trends;
    const MatrixView<T> columns(columns_.data(), n, width), products(products_.data(), n, width);
    for (index_t t = 0; t < layout.tiles(); ++t) {
        const SymmetricTile<T> s(conditioning_.factor, i, t);
        blas::gemm(s.op, Op::none, T(1), s.stored,
                   columns.block(layout.begin(t), 0, layout.extent(t), width), t == 0 ? T(0) : T(1),
                   products.block(layout.begin(i), 0, layout.extent(i), width));
    }
}

/// v = S·b − U(Uᵀb) and Z = S·diag(c)·U − ½U(Uᵀdiag(c)·U); A = [U, Z, ½α, ½v], B = [Z, U, v, α].
template <class T>
void LeaveOneOut<T>::finish() {
    const index_t n = conditioning_.size, k = conditioning_.outputs, q = conditioning_.trends;
    const auto alpha = conditioning_.alpha(), u = conditioning_.trend_weights();
    const MatrixView<T> z(products_.data() + n * k, n, q);
    if (q > 0) {
        std::vector<T> small(q * std::max(q, k));
        const MatrixView<T> ub(small.data(), q, k), ucu(small.data(), q, q);
        blas::gemm(Op::transpose, Op::none, T(1), u, b(), T(0), ub);
        blas::gemm(Op::none, Op::none, T(-1), u, ub, T(1), v());
        blas::gemm(Op::transpose, Op::none, T(1), u, MatrixView<T>(columns_.data() + n * k, n, q),
                   T(0), ucu);
        blas::gemm(Op::none, Op::none, T(-0.5), u, ucu, T(1), z);
    }
    const MatrixView<T> left(left_.data(), n, rank()), right(right_.data(), n, rank());
    copy_scaled<T>(u, T(1), left.block(0, 0, n, q));
    copy_scaled<T>(z, T(1), left.block(0, q, n, q));
    copy_scaled<T>(alpha, T(0.5), left.block(0, 2 * q, n, k));
    copy_scaled<T>(v(), T(0.5), left.block(0, 2 * q + k, n, k));
    copy_scaled<T>(z, T(1), right.block(0, 0, n, q));
    copy_scaled<T>(u, T(1), right.block(0, q, n, q));
    copy_scaled<T>(v(), T(1), right.block(0, 2 * q, n, k));
    copy_scaled<T>(alpha, T(1), right.block(0, 2 * q + k, n, k));
}

template <class T>
void LeaveOneOut<T>::make_adjoint(index_t i, index_t j, T factor, MatrixView<T> tile) const {
    const auto layout = problem_.layout();
    const index_t n = conditioning_.size;
    const auto rows = [&](const Buffer<T>& all, index_t t) {
        return MatrixView<T>(all.data(), n, rank())
            .block(layout.begin(t), 0, layout.extent(t), rank());
    };
    blas::gemm(Op::none, Op::transpose, factor, rows(left_, i), rows(right_, j), T(0), tile);
    std::vector<T> scaled(layout.extent(i) * layout.tile_size());
    for (index_t t = 0; t < layout.tiles(); ++t) {
        const SymmetricTile<T> a(conditioning_.factor, i, t), b(conditioning_.factor, t, j);
        const MatrixView<T> ac(scaled.data(), a.rows(), a.cols());
        for (index_t c = 0; c < ac.cols; ++c) {
            const T weight = c_[layout.begin(t) + c];
            for (index_t r = 0; r < ac.rows; ++r) ac(r, c) = weight * a(r, c);
        }
        blas::gemm(Op::none, b.op, -factor, ac, b.stored, T(1), tile);
    }
}

template <class T>
tasks::Handle add_leave_one_out(tasks::TaskGraph& graph, tasks::Rank rank, LeaveOneOut<T>& loo,
                                const ConditioningOperands<T>& operands) {
    const auto& inverse = operands.factor;
    const index_t tiles = inverse.layout().tiles();
    const auto coefficients = graph.new_handles(1);
    const auto products = graph.new_handles(tiles);
    const auto ready = graph.new_handles(1);
    loo.allocate();
    for (index_t i = 0; i < tiles; ++i)
        graph.add({"mirror_diagonal", i, i}, rank, {}, {inverse.handle(i, i)},
                  [&loo, i] { loo.mirror_diagonal(i); });
    AccessList all;
    for (index_t i = 0; i < tiles; ++i) all.row(inverse, i, {0, i + 1});
    all.rows(operands.weights, {0, tiles});
    graph.add({"loo_coefficients"}, rank, all, AccessList().add(coefficients),
              [&loo] { loo.compute_coefficients(); });
    AccessList all_products;
    for (index_t i = 0; i < tiles; ++i) {
        graph.add({"loo_product", i, 0}, rank, {coefficients}, {products + i},
                  [&loo, i] { loo.multiply_row(i); });
        all_products.add(products + i);
    }
    graph.add({"loo_finish"}, rank, all_products, AccessList().add(ready),
              [&loo] { loo.finish(); });
    return ready;
}

template <class T>
void add_inverse_diagonal(tasks::TaskGraph& graph, const Problem<T>& problem,
                          const Conditioning<T>& conditioning,
                          const ConditioningOperands<T>& operands, const ColumnBuffer<T>& v,
                          index_t slots, T* diagonal) {
    const auto layout = problem.layout();
    const index_t n = problem.size();
    const auto rank = rank_after_conditioning(layout);
    std::vector<tasks::Handle> handles;
    for (index_t slot = 0; slot < slots; ++slot)
        handles.push_back(graph.new_handles(layout.tiles() + 1));
    for (index_t q = 0; q < layout.tiles(); ++q) {
        // The rows above the block are zero and are left out of the solve.
        const index_t begin = layout.begin(q);
        const auto columns = v.columns((q % slots) * layout.tile_size(), layout.extent(q));
        const BlockOperand<T> block(columns, layout, handles[q % slots]);
        for (index_t i = q; i < layout.tiles(); ++i)
            graph.add({"unit_columns", i, q}, rank + q, {}, {block.handle(i)}, [block, i, q] {
                const auto rows = block.row(i);
                for (index_t c = 0; c < rows.cols; ++c)
                    for (index_t r = 0; r < rows.rows; ++r)
                        rows(r, c) = i == q && r == c ? T(1) : T(0);
            });
        add_solve_lower(graph, rank + q, operands.factor, block, q);
        graph.add({"inverse_diagonal", q, q}, rank + q,
                  AccessList().rows(block, {q, layout.tiles()}).add(operands.all_weights),
                  AccessList().add(handles[q % slots] + layout.tiles()),
                  [&conditioning, columns, begin, n, out = diagonal + begin] {
                      for (index_t c = 0; c < columns.cols; ++c) {
                          double sum = 0.0;
                          for (index_t r = begin; r < n; ++r)
                              sum += static_cast<double>(columns(r, c)) *
                                     static_cast<double>(columns(r, c));
                          const double rest =
                              sum - squared_norm_of_row(conditioning.trend_weights(), begin + c);
                          // A row that alone determines a coefficient leaves nothing but rounding.
                          const double rounding =
                              static_cast<double>(n) * std::numeric_limits<T>::epsilon() * sum;
                          out[c] = static_cast<T>(rest > rounding ? rest : 0.0);
                      }
                  });
    }
}

#define GPRAT_INSTANTIATE(T)                                                                   \
    template class LeaveOneOut<T>;                                                             \
    template tasks::Handle add_leave_one_out(tasks::TaskGraph&, tasks::Rank, LeaveOneOut<T>&,  \
                                             const ConditioningOperands<T>&);                  \
    template void add_inverse_diagonal(tasks::TaskGraph&, const Problem<T>&,                   \
                                       const Conditioning<T>&, const ConditioningOperands<T>&, \
                                       const ColumnBuffer<T>&, index_t, T*);
GPRAT_INSTANTIATE(float)
GPRAT_INSTANTIATE(double)
#undef GPRAT_INSTANTIATE

}  // namespace gprat::gp
