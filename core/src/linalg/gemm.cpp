#include "gemm.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "gemm_kernel.hpp"
#include "gemm_packing.hpp"
#include "gprat/linalg/buffer.hpp"

namespace gprat::packed {

using blas::Op;
using blas::Side;

namespace {

// A packed block of the left operand stays in the second-level cache while it meets one panel
// after another of the right operand; each of these stays in the first-level cache meanwhile.
constexpr index_t kInner = 384;
template <class T>
constexpr index_t kBlockRows = 8 * kRows<T>;
constexpr index_t kBlockColumns = 1024;
// Columns of the right operand that are packed together, shortly before they are used.
constexpr index_t kGroup = 8 * kColumns;

constexpr index_t round_up(index_t size, index_t unit) {
    return (size + unit - 1) / unit * unit;
}

/// Cuts `size` into equal parts, multiples of `unit`, none longer than `longest`.
index_t balanced_part(index_t size, index_t longest, index_t unit) {
    const index_t parts = (size + longest - 1) / longest;
    return round_up((size + parts - 1) / parts, unit);
}

/// Room for packed operands, this thread's from call to call.
template <class T>
struct Workspace {
    T* left;
    T* right;
};

template <class T>
Workspace<T> workspace(index_t left_size, index_t right_size) {
    thread_local Buffer<T> memory;
    left_size = round_up(left_size, Register<T>::lanes);
    if (memory.size() < left_size + right_size) memory = Buffer<T>(left_size + right_size);
    return {memory.data(), memory.data() + left_size};
}

/// An operand by panels, packed or as it is stored.
template <class T>
class Panels {
public:
    /// Packed panels that hold `depth` inner indices.
    static Panels packed(const T* data, index_t depth) { return {data, depth, 0}; }
    /// An operand whose rows are adjacent where it is stored, `ld` entries from one inner index to
    /// the next.
    static Panels stored(const T* data, index_t ld) { return {data, 1, ld}; }

    /// From row i and inner index p on, in the panel of `width` rows that begins there.
    Panel<T> at(index_t i, index_t p, index_t width) const {
        const index_t step = ld_ == 0 ? width : ld_;
        return {data_ + i * stride_ + p * step, step};
    }

private:
    Panels(const T* data, index_t stride, index_t ld) : data_(data), stride_(stride), ld_(ld) {}

    const T* data_;
    index_t stride_;
    index_t ld_;
};

/// A right operand that is stored by columns.
template <class T>
struct StoredColumns {
    MatrixView<const T> stored;

    ColumnPanel<T> at(index_t j, index_t p, index_t) const { return {&stored(p, j), stored.ld}; }
};

/// Inner indices.
struct Range {
    index_t first;
    index_t last;
};

/// The memory that is read next, to be asked for meanwhile: two blocks, one after the other.
class Upcoming {
public:
    template <class T>
    void add(const Operand<T>& block) {
        const auto& stored = block.stored;
        const bool is_one_run = stored.ld == stored.rows;
        const index_t runs = is_one_run ? 1 : stored.cols;
        const auto bytes = [](index_t entries) { return entries * index_t{sizeof(T)}; };
        first_ = std::exchange(
            second_, {reinterpret_cast<const char*>(stored.data),
                      bytes(stored.rows) * (is_one_run ? stored.cols : 1), bytes(stored.ld), runs});
    }

    /// The share of a product over `depth` inner indices: of one run of memory, and if it is
    /// shorter, what follows it.
    Ahead take(index_t depth) {
        if (first_.runs == 0) first_ = std::exchange(second_, {});
        if (first_.runs == 0) return {reinterpret_cast<const char*>(this), 0};
        const Ahead share{first_.begin + first_.asked, kLine};
        first_.asked += depth / kIndicesPerLine * kLine;
        if (first_.asked >= first_.length) {
            first_.asked = 0;
            first_.begin += first_.stride;
            --first_.runs;
        }
        return share;
    }

private:
    struct Runs {
        const char* begin = nullptr;
        index_t length = 0, stride = 0, runs = 0;
        index_t asked = 0;  ///< of the run that begins at `begin`
    };
    static constexpr index_t kLine = 64;

    Runs first_, second_;
};

/// C := β·C + α·A·B. Only the inner indices `inner(i, j)` contribute where the panels that begin
/// at row i and column j meet. Of Region::lower, `diagonal` is the row of C where the diagonal
/// enters.
template <class T, class Right, class Inner>
void multiply_panels(const Panels<T>& a, const Right& b, Inner inner, T alpha, T beta,
                     MatrixView<T> c, Upcoming upcoming = {}, Region region = Region::full,
                     index_t diagonal = 0) {
    for (index_t j = 0; j < c.cols; j += kColumns)
        for (index_t i = 0; i < c.rows; i += kRows<T>) {
            const index_t enters = region == Region::full ? -kColumns : diagonal + j - i;
            if (enters >= kRows<T>) continue;
            with_height<T>(c.rows - i, [&]<int V>() {
                constexpr index_t width = V * Register<T>::lanes;
                const Clip clip{std::min(width, c.rows - i), std::min(kColumns, c.cols - j),
                                enters};
                const Range range = inner(i, j);
                const index_t depth = range.last - range.first;
                const auto left = a.at(i, range.first, width);
                const auto right = b.at(j, range.first, kColumns);
                const auto ahead = upcoming.take(depth);
                if (clip.rows == width && clip.columns == kColumns && enters + kColumns <= 1)
                    update_block<T, V>(depth, left, right, alpha, beta, &c(i, j), c.ld, ahead);
                else
                    update_clipped_block<T, V>(depth, left, right, alpha, beta, &c(i, j), c.ld,
                                               clip, ahead);
            });
        }
}

/// Which half of a triangular operand op(L) is not zero.
enum class Triangle { lower, upper };

/// The inner indices of the panel of a triangular operand whose rows are [i, i + width).
Range inner_of_panel(Triangle half, index_t i, index_t width, index_t order) {
    return half == Triangle::lower ? Range{0, std::min(i + width, order)} : Range{i, order};
}

/// Writes zeros beyond the diagonal into the panel that begins at row i.
template <class T>
void clear_beyond_diagonal(Triangle half, T* panel, index_t i, index_t width, index_t order) {
    for (index_t p = i; p < std::min(i + width, order); ++p)
        for (index_t r = 0; r < width; ++r)
            if (half == Triangle::lower ? i + r < p : i + r > p) panel[p * width + r] = T(0);
}

/// Packs a triangular op(L), as far as `inner_of_panel` reaches, by `pack(rows, first row, first
/// inner index)`: several panels at once, since memory likes long runs.
template <class T, class Pack>
void pack_triangle(const Operand<T>& l, Triangle half, index_t rows_at_once, Pack pack) {
    const index_t order = l.rows();
    for (index_t i = 0; i < order; i += rows_at_once) {
        const index_t rows = std::min(rows_at_once, order - i);
        const Range inner = inner_of_panel(half, i, rows, order);
        pack(l.block(i, inner.first, rows, inner.last - inner.first), i, inner.first);
    }
}

template <class T>
void pack_left_triangle(Op op, MatrixView<const T> l, T* packed) {
    const index_t order = l.rows;
    const Triangle half = op == Op::none ? Triangle::lower : Triangle::upper;
    pack_triangle(Operand<T>{op, l}, half, 3 * kRows<T>,
                  [=](const Operand<T>& rows, index_t i, index_t first) {
                      pack_left(rows, packed + i * order, order, first);
                  });
    for (index_t i = 0; i < order; i += kRows<T>)
        clear_beyond_diagonal(half, packed + i * order, i,
                              std::min(kRows<T>, round_up(order - i, Register<T>::lanes)), order);
}

/// The rows of a packed right operand are the columns of op(L).
template <class T>
void pack_right_triangle(Op op, MatrixView<const T> l, T* packed, index_t panel_depth) {
    const index_t order = l.rows;
    const Triangle half = op == Op::none ? Triangle::upper : Triangle::lower;
    pack_triangle(Operand<T>{op, l}.transposed(), half, kGroup,
                  [=](const Operand<T>& rows, index_t j, index_t first) {
                      pack_right(rows.transposed(), packed + j * panel_depth, panel_depth, first);
                  });
    for (index_t j = 0; j < order; j += kColumns)
        clear_beyond_diagonal(half, packed + j * panel_depth, j, kColumns, order);
}

/// B := op(L)·B. All rows of some columns of B are packed before they are overwritten.
template <class T>
void trmm_left(Op op, MatrixView<const T> l, MatrixView<T> b) {
    const index_t order = l.rows;
    const Triangle half = op == Op::none ? Triangle::lower : Triangle::upper;
    const auto packed = workspace<T>(round_up(order, Register<T>::lanes) * order, kGroup * order);
    pack_left_triangle(op, l, packed.left);
    for (index_t j = 0; j < b.cols; j += kGroup) {
        const auto columns = b.block(0, j, order, std::min(kGroup, b.cols - j));
        pack_right(Operand<T>{Op::none, columns}, packed.right, order);
        multiply_panels<T>(
            Panels<T>::packed(packed.left, order), Panels<T>::packed(packed.right, order),
            [=](index_t i, index_t) { return inner_of_panel(half, i, kRows<T>, order); }, T(1),
            T(0), columns);
    }
}

/// B := B·op(L), by rows of B in the same way.
template <class T>
void trmm_right(Op op, MatrixView<const T> l, MatrixView<T> b) {
    const index_t order = l.rows;
    const Triangle half = op == Op::none ? Triangle::upper : Triangle::lower;
    const auto packed = workspace<T>(kBlockRows<T> * order, round_up(order, kColumns) * order);
    pack_right_triangle(op, l, packed.right, order);
    for (index_t i = 0; i < b.rows; i += kBlockRows<T>) {
        const auto rows = b.block(i, 0, std::min(kBlockRows<T>, b.rows - i), order);
        pack_left(Operand<T>{Op::none, rows}, packed.left, order);
        multiply_panels<T>(
            Panels<T>::packed(packed.left, order), Panels<T>::packed(packed.right, order),
            [=](index_t, index_t j) { return inner_of_panel(half, j, kColumns, order); }, T(1),
            T(0), rows);
    }
}

/// Replaces the diagonal of a packed right operand by its reciprocals, and completes its last
/// square on the diagonal with zeros.
template <class T>
void invert_diagonal(T* packed, index_t order, index_t panel_depth) {
    for (index_t j = 0; j < panel_depth; ++j) {
        T* panel = packed + j / kColumns * kColumns * panel_depth;
        T& pivot = panel[j * kColumns + j % kColumns];
        if (j < order)
            pivot = T(1) / pivot;
        else
            std::fill_n(panel + j * kColumns, kColumns, T(0));
    }
}

/// Solves X·M = α·X for a packed panel X, V registers high, and a packed triangle M of `order`,
/// whose panels hold `size` inner indices.
template <class T, int V>
void solve_panel(Direction direction, const T* m, index_t size, index_t order, T alpha, T* x) {
    constexpr index_t width = V * Register<T>::lanes;
    const auto triangle = [=](index_t j, index_t p) { return m + j * size + p * kColumns; };
    if (direction == Direction::forward)
        for (index_t j = 0; j < size; j += kColumns)
            solve_block<T, V, Direction::forward>(j, x, triangle(j, 0), alpha, triangle(j, j),
                                                  x + j * width);
    else
        for (index_t j = size - kColumns; j >= 0; j -= kColumns)
            solve_block<T, V, Direction::backward>(order - j - kColumns, x + (j + kColumns) * width,
                                                   triangle(j, j + kColumns), alpha, triangle(j, j),
                                                   x + j * width);
}

/// X := α·X·op(L)⁻¹ for X = op_b(B), one packed panel of rows after the other. To solve from the
/// left is to solve from the right for the transposes, so the vectors always run across unknowns
/// that do not depend on each other.
template <class T>
void solve_from_right(Op op, T alpha, MatrixView<const T> l, Op op_b, MatrixView<T> b) {
    const index_t order = l.rows;
    const index_t size = round_up(order, kColumns);
    const index_t rows_at_once = 4 * kRows<T>;
    const auto packed = workspace<T>(rows_at_once * size, size * size);
    pack_right_triangle(op, l, packed.right, size);
    invert_diagonal(packed.right, order, size);
    const index_t total = op_b == Op::none ? b.rows : b.cols;
    for (index_t first = 0; first < total; first += rows_at_once) {
        const index_t rows = std::min(rows_at_once, total - first);
        const auto block =
            op_b == Op::none ? b.block(first, 0, rows, order) : b.block(0, first, order, rows);
        pack_left(Operand<T>{op_b, block}, packed.left, size);
        for (index_t i = 0; i < rows; i += kRows<T>)
            with_height<T>(rows - i, [&]<int V>() {
                constexpr index_t width = V * Register<T>::lanes;
                const index_t height = std::min(width, rows - i);
                T* x = packed.left + i * size;
                std::fill(x + order * width, x + size * width, T(0));
                solve_panel<T, V>(op == Op::none ? Direction::backward : Direction::forward,
                                  packed.right, size, order, alpha, x);
                unpack_panel<T, width>(x, op_b,
                                       op_b == Op::none ? block.block(i, 0, height, order)
                                                        : block.block(0, i, order, height));
            });
    }
}

}  // namespace

bool is_available() {
#if defined(__x86_64__)
    static const bool available =
        __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
    return available;
#else
    return false;
#endif
}

namespace {

/// Whether a panel is spread over the sets of a cache where it is stored.
template <class T>
bool is_spread(const MatrixView<const T>& stored) {
    constexpr index_t crowded = 1024 / sizeof(T);
    return stored.ld % crowded != 0;
}

/// Whether the kernel can read this operand's panels of `unit` rows where they are stored: whole
/// ones, at the beginning of lines.
template <class T>
bool can_stay_by_rows(const Operand<T>& a, index_t unit) {
    constexpr std::uintptr_t line = 64;
    const auto step = static_cast<std::uintptr_t>(a.stored.ld) * sizeof(T);
    const auto begin = reinterpret_cast<std::uintptr_t>(a.stored.data);
    return !a.is_transposed() && a.rows() % unit == 0 && begin % line == 0 && step % line == 0 &&
           is_spread(a.stored);
}

/// Where the right operand of a product is read.
enum class Place { packed, by_rows, by_columns };

template <class T>
Place place_of_right(const Operand<T>& b) {
    if (can_stay_by_rows(b.transposed(), kColumns)) return Place::by_rows;
    const bool by_columns = !b.is_transposed() && b.cols() % kColumns == 0 && is_spread(b.stored);
    return by_columns ? Place::by_columns : Place::packed;
}

/// C := β·C + α·A·B, block by block.
template <class T>
class Product {
public:
    Product(const Operand<T>& a, const Operand<T>& b, T alpha, T beta, MatrixView<T> c,
            Region region)
        : a_(a), b_(b), alpha_(alpha), beta_(beta), c_(c), region_(region) {}

    void run() const {
        for (index_t j = 0; j < c_.cols; j += column_step_)
            for (index_t p = 0; p < a_.cols(); p += depth_step_)
                add(j, std::min(column_step_, c_.cols - j), p,
                    std::min(depth_step_, a_.cols() - p));
    }

private:
    /// Adds inner indices [p, p + depth) to columns [j, j + columns) of C.
    void add(index_t j, index_t columns, index_t p, index_t depth) const {
        const index_t first_row = region_ == Region::full ? 0 : j / row_step_ * row_step_;
        const index_t group = b_place_ == Place::by_rows ? columns : kGroup;
        for (index_t i = first_row; i < c_.rows; i += row_step_) {
            const index_t rows = std::min(row_step_, c_.rows - i);
            const auto left = panels_of_a(i, rows, p, depth);
            for (index_t g = 0; g < columns; g += group) {
                const index_t width = std::min(group, columns - g), rest = columns - g - width;
                const auto b = b_.block(p, j + g, depth, width);
                T* const packed = packed_.right + g * depth;
                if (b_place_ == Place::packed && i == first_row) pack_right(b, packed, depth);
                Upcoming upcoming;
                if (i == first_row && rest > 0)
                    upcoming.add(b_.block(p, j + g + width, depth, std::min(group, rest)));
                else if (i + rows == c_.rows)
                    add_next(upcoming, j, columns, p + depth);
                with_right(b, packed, [&](const auto& right) {
                    multiply_panels<T>(
                        left, right, [=](index_t, index_t) { return Range{0, depth}; }, alpha_,
                        p == 0 ? beta_ : T(1), c_.block(i, j + g, rows, width), upcoming, region_,
                        j + g - i);
                });
            }
        }
    }

    Panels<T> panels_of_a(index_t i, index_t rows, index_t p, index_t depth) const {
        const auto block = a_.block(i, p, rows, depth);
        if (a_stays_) return Panels<T>::stored(block.stored.data, block.stored.ld);
        pack_left(block, packed_.left, depth);
        return Panels<T>::packed(packed_.left, depth);
    }

    /// Calls f with the panels of a block of B.
    template <class F>
    void with_right(const Operand<T>& block, const T* packed, F&& f) const {
        if (b_place_ == Place::by_columns)
            f(StoredColumns<T>{block.stored});
        else if (b_place_ == Place::by_rows)
            f(Panels<T>::stored(block.stored.data, block.stored.ld));
        else
            f(Panels<T>::packed(packed, block.rows()));
    }

    void add_next(Upcoming& upcoming, index_t j, index_t columns, index_t p) const {
        const index_t depth = std::min(depth_step_, a_.cols() - p);
        if (depth <= 0) return;
        upcoming.add(a_.block(0, p, c_.rows, depth));
        upcoming.add(b_.block(p, j, depth, columns));
    }

    Operand<T> a_, b_;
    T alpha_, beta_;
    MatrixView<T> c_;
    Region region_;
    bool a_stays_ = can_stay_by_rows(a_, Register<T>::lanes);
    Place b_place_ = place_of_right(b_);
    index_t depth_step_ = balanced_part(a_.cols(), kInner, 8);
    index_t row_step_ = balanced_part(c_.rows, kBlockRows<T>, kRows<T>);
    index_t column_step_ = balanced_part(c_.cols, kBlockColumns, kGroup);
    Workspace<T> packed_ = workspace<T>(a_stays_ ? 0 : row_step_ * depth_step_,
                                        b_place_ == Place::packed ? column_step_ * depth_step_ : 0);
};

}  // namespace

template <class T>
void gemm(Op op_a, Op op_b, T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta,
          MatrixView<T> c, Region region) {
    Product<T>({op_a, a}, {op_b, b}, alpha, beta, c, region).run();
}

template <class T>
void trmm(Side side, Op op, MatrixView<const T> l, MatrixView<T> b) {
    side == Side::left ? trmm_left(op, l, b) : trmm_right(op, l, b);
}

template <class T>
void trsm(Side side, Op op, T alpha, MatrixView<const T> l, MatrixView<T> b) {
    if (side == Side::right)
        solve_from_right(op, alpha, l, Op::none, b);
    else
        solve_from_right(op == Op::none ? Op::transpose : Op::none, alpha, l, Op::transpose, b);
}

#define GPRAT_INSTANTIATE(T)                                                                  \
    template void gemm(Op, Op, T, MatrixView<const T>, MatrixView<const T>, T, MatrixView<T>, \
                       Region);                                                               \
    template void trmm(Side, Op, MatrixView<const T>, MatrixView<T>);                         \
    template void trsm(Side, Op, T, MatrixView<const T>, MatrixView<T>);
GPRAT_INSTANTIATE(float)
GPRAT_INSTANTIATE(double)
#undef GPRAT_INSTANTIATE

}  // namespace gprat::packed
