#include <algorithm>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "check.hpp"
#include "gprat/linalg/blas.hpp"
#include "gprat/linalg/column_buffer.hpp"

using namespace gprat;
using blas::Op;
using blas::Side;

namespace {

constexpr index_t kSizes[] = {0, 1, 2, 7, 8, 9, 23, 24, 25, 64, 65, 130, 257};
constexpr Op kOps[] = {Op::none, Op::transpose};
constexpr Side kSides[] = {Side::left, Side::right};

/// A matrix inside a larger array, whose other entries must keep their value.
template <class T>
class Guarded {
public:
    Guarded(index_t rows, index_t cols, index_t margin = 3)
        : rows_(rows),
          cols_(cols),
          ld_(rows + margin),
          offset_(margin + ld_),
          entries_(static_cast<std::size_t>(ld_ * (cols + 2) + margin), kGuard) {}

    MatrixView<T> view() { return {entries_.data() + offset_, rows_, cols_, ld_}; }

    bool margins_are_intact() const {
        for (index_t at = 0; at < static_cast<index_t>(entries_.size()); ++at) {
            const index_t from_start = at - offset_;
            const bool is_inside =
                from_start >= 0 && from_start < ld_ * cols_ && from_start % ld_ < rows_;
            if (!is_inside && entries_[static_cast<std::size_t>(at)] != kGuard) return false;
        }
        return true;
    }

private:
    static constexpr T kGuard = T(-77);
    index_t rows_, cols_, ld_, offset_;
    std::vector<T> entries_;
};

template <class T>
T random_entry() {
    static std::mt19937 generator(7);
    return static_cast<T>(std::uniform_real_distribution<double>(-0.5, 0.5)(generator));
}

template <class T>
Guarded<T> random_matrix(index_t rows, index_t cols, index_t margin = 3) {
    Guarded<T> a(rows, cols, margin);
    for (index_t j = 0; j < cols; ++j)
        for (index_t i = 0; i < rows; ++i) a.view()(i, j) = random_entry<T>();
    return a;
}

/// Well conditioned, and NaN above the diagonal, where nobody may look.
template <class T>
Guarded<T> random_triangle(index_t n) {
    auto l = random_matrix<T>(n, n);
    for (index_t j = 0; j < n; ++j)
        for (index_t i = 0; i < n; ++i) {
            T& entry = l.view()(i, j);
            if (i < j)
                entry = std::numeric_limits<T>::quiet_NaN();
            else
                entry = i == j ? T(1.5) + entry : entry / static_cast<T>(std::sqrt(double(n)));
        }
    return l;
}

template <class T>
bool upper_is_nan(MatrixView<T> a) {
    for (index_t j = 0; j < a.cols; ++j)
        for (index_t i = 0; i < std::min(j, a.rows); ++i)
            if (!std::isnan(a(i, j))) return false;
    return true;
}

/// Columns without gaps, in double: what the plain loops below compute with.
struct Dense {
    index_t rows, cols;
    std::vector<double> entries;

    Dense(index_t rows_, index_t cols_)
        : rows(rows_), cols(cols_), entries(static_cast<std::size_t>(rows_ * cols_)) {}
    double& operator()(index_t i, index_t j) {
        return entries[static_cast<std::size_t>(i + j * rows)];
    }
    double operator()(index_t i, index_t j) const {
        return entries[static_cast<std::size_t>(i + j * rows)];
    }
};

template <class T>
Dense dense(MatrixView<T> a, Op op = Op::none) {
    Dense copy(op == Op::none ? a.rows : a.cols, op == Op::none ? a.cols : a.rows);
    for (index_t j = 0; j < a.cols; ++j)
        for (index_t i = 0; i < a.rows; ++i)
            (op == Op::none ? copy(i, j) : copy(j, i)) = static_cast<double>(a(i, j));
    return copy;
}

template <class T>
Dense dense_triangle(MatrixView<T> l, Op op = Op::none) {
    Dense copy = dense(l, op);
    for (index_t j = 0; j < l.cols; ++j)
        for (index_t i = 0; i < l.rows; ++i)
            if (op == Op::none ? i < j : i > j) copy(i, j) = 0.0;
    return copy;
}

/// Adds A·B to C, all by columns without gaps. Sanitizers don't watch the reference: under them it
/// would take longer than all that is tested.
__attribute__((no_sanitize("address", "thread", "undefined"))) void add_product(
    const double* a, const double* b, double* c, index_t rows, index_t inner, index_t columns) {
    for (index_t j = 0; j < columns; ++j)
        for (index_t p = 0; p < inner; ++p)
            for (index_t i = 0; i < rows; ++i)
                c[i + j * rows] += a[i + p * rows] * b[p + j * inner];
}

Dense product(const Dense& a, const Dense& b) {
    Dense c(a.rows, b.cols);
    add_product(a.entries.data(), b.entries.data(), c.entries.data(), a.rows, a.cols, b.cols);
    return c;
}

enum class Part { all, lower };

/// Largest difference; a NaN in either is one of infinity.
template <class T>
double difference(MatrixView<T> actual, const Dense& expected, Part part = Part::all) {
    double largest = 0.0;
    for (index_t j = 0; j < actual.cols; ++j)
        for (index_t i = part == Part::lower ? j : 0; i < actual.rows; ++i) {
            const double gap = std::abs(static_cast<double>(actual(i, j)) - expected(i, j));
            largest = gap <= largest    ? largest
                      : std::isnan(gap) ? std::numeric_limits<double>::infinity()
                                        : gap;
        }
    return largest;
}

template <class T>
double tolerance(index_t inner) {
    return 4.0 * (static_cast<double>(inner) + 2.0) * std::numeric_limits<T>::epsilon();
}

template <class T>
void test_gemm(index_t m, index_t n, index_t k, Op op_a, Op op_b, T alpha, T beta) {
    auto a = op_a == Op::none ? random_matrix<T>(m, k) : random_matrix<T>(k, m);
    auto b = op_b == Op::none ? random_matrix<T>(k, n) : random_matrix<T>(n, k);
    auto c = random_matrix<T>(m, n);
    Dense expected = product(dense(a.view(), op_a), dense(b.view(), op_b));
    for (index_t j = 0; j < n; ++j)
        for (index_t i = 0; i < m; ++i) {
            expected(i, j) = double(alpha) * expected(i, j) + double(beta) * double(c.view()(i, j));
            if (beta == T(0)) c.view()(i, j) = std::numeric_limits<T>::quiet_NaN();
        }
    blas::gemm(op_a, op_b, alpha, a.view(), b.view(), beta, c.view());
    CHECK_CLOSE(difference(c.view(), expected), 0.0, tolerance<T>(k));
    CHECK(c.margins_are_intact());
}

template <class T>
void test_gemm_shapes() {
    for (const Op op_a : kOps)
        for (const Op op_b : kOps) {
            for (const index_t m : kSizes)
                for (const index_t n : kSizes)
                    for (const index_t k : kSizes)
                        test_gemm<T>(m, n, k, op_a, op_b, T(-1), k % 2 == 0 ? T(1) : T(0));
            test_gemm<T>(65, 24, 9, op_a, op_b, T(2), T(-0.5));
            test_gemm<T>(300, 1100, 600, op_a, op_b, T(-1), T(1));
        }
}

template <class T>
void test_syrk(index_t n, index_t k, Op op) {
    auto a = op == Op::none ? random_matrix<T>(n, k) : random_matrix<T>(k, n);
    auto c = random_triangle<T>(n);
    Dense expected =
        product(dense(a.view(), op), dense(a.view(), op == Op::none ? Op::transpose : Op::none));
    for (index_t j = 0; j < n; ++j)
        for (index_t i = j; i < n; ++i) expected(i, j) = double(c.view()(i, j)) - expected(i, j);
    blas::syrk(op, T(-1), a.view(), T(1), c.view());
    CHECK_CLOSE(difference(c.view(), expected, Part::lower), 0.0, tolerance<T>(k));
    CHECK(upper_is_nan(c.view()));
    CHECK(c.margins_are_intact());
}

template <class T>
void test_trmm_and_trsm(index_t n, index_t other, Side side, Op op) {
    auto l = random_triangle<T>(n);
    auto b = side == Side::left ? random_matrix<T>(n, other) : random_matrix<T>(other, n);
    const Dense triangle = dense_triangle(l.view(), op);
    const auto multiplied = [&](const Dense& x) {
        return side == Side::left ? product(triangle, x) : product(x, triangle);
    };
    const Dense before = dense(b.view());
    blas::trmm(side, op, l.view(), b.view());
    CHECK_CLOSE(difference(b.view(), multiplied(before)), 0.0, tolerance<T>(n));
    CHECK(b.margins_are_intact());

    for (const T alpha : {T(1), T(-1)}) {
        const Dense right_hand_side = dense(b.view());
        blas::trsm(side, op, alpha, l.view(), b.view());
        Dense residual = multiplied(dense(b.view()));
        for (double& entry : residual.entries) entry *= double(alpha);
        auto expected = random_matrix<T>(right_hand_side.rows, right_hand_side.cols);
        for (index_t j = 0; j < expected.view().cols; ++j)
            for (index_t i = 0; i < expected.view().rows; ++i)
                expected.view()(i, j) = static_cast<T>(right_hand_side(i, j));
        CHECK_CLOSE(difference(expected.view(), residual), 0.0, 4 * tolerance<T>(n));
        CHECK(b.margins_are_intact());
    }
    CHECK(l.margins_are_intact());
}

template <class T>
void test_trtri_and_lauum(index_t n) {
    auto l = random_triangle<T>(n);
    const Dense before = dense_triangle(l.view());
    blas::trtri(l.view());
    auto identity = random_triangle<T>(n);
    for (index_t j = 0; j < n; ++j)
        for (index_t i = j; i < n; ++i) identity.view()(i, j) = i == j ? T(1) : T(0);
    CHECK_CLOSE(difference(identity.view(), product(before, dense_triangle(l.view())), Part::lower),
                0.0, 8 * tolerance<T>(n));
    CHECK(upper_is_nan(l.view()));

    const Dense gram = product(dense_triangle(l.view(), Op::transpose), dense_triangle(l.view()));
    blas::lauum(l.view());
    CHECK_CLOSE(difference(l.view(), gram, Part::lower), 0.0, 8 * tolerance<T>(n));
    CHECK(upper_is_nan(l.view()));
    CHECK(l.margins_are_intact());
}

/// L·Lᵀ of a random triangle, NaN above the diagonal.
template <class T>
Guarded<T> positive_definite(index_t n) {
    auto l = random_triangle<T>(n);
    auto a = random_triangle<T>(n);
    const Dense gram = product(dense_triangle(l.view()), dense_triangle(l.view(), Op::transpose));
    for (index_t j = 0; j < n; ++j)
        for (index_t i = j; i < n; ++i) a.view()(i, j) = static_cast<T>(gram(i, j));
    return a;
}

template <class T>
void test_potrf(index_t n) {
    auto a = positive_definite<T>(n);
    auto original = a;
    CHECK(blas::potrf(a.view()) == -1);
    const Dense rebuilt =
        product(dense_triangle(a.view()), dense_triangle(a.view(), Op::transpose));
    CHECK_CLOSE(difference(original.view(), rebuilt, Part::lower), 0.0, 8 * tolerance<T>(n));
    CHECK(upper_is_nan(a.view()));
    CHECK(a.margins_are_intact());
}

template <class T>
void test_potrf_failures() {
    const index_t n = 130;
    const auto intact = positive_definite<T>(n);
    for (const index_t row : {0, 1, 31, 32, 63, 64, 100, 129}) {
        for (const index_t column : {index_t{0}, row / 2, row}) {
            auto a = intact;
            a.view()(row, column) = std::numeric_limits<T>::quiet_NaN();
            CHECK(blas::potrf(a.view()) == row);
            CHECK(std::isnan(a.view()(row, row)));
        }
        for (const T pivot : {T(-1), T(0)}) {
            auto a = intact;
            a.view()(row, row) = pivot;
            CHECK(blas::potrf(a.view()) == row);
            CHECK(a.view()(row, row) <= T(0));
        }
        auto a = intact;
        a.view()(row, row) = std::numeric_limits<T>::infinity();
        CHECK(blas::potrf(a.view()) == row);
        CHECK(!std::isfinite(a.view()(row, row)));
    }
}

/// Where the operands lie in memory must not show in the bits.
template <class T>
void test_reproducibility() {
    const index_t m = 131, n = 77, k = 300;
    for (const index_t columns : {index_t{1}, n}) {
        auto a = random_matrix<T>(m, k), b = random_matrix<T>(k, columns);
        std::vector<Dense> results;
        for (const index_t margin : {0, 1, 5, 8}) {
            Guarded<T> a_copy(m, k, margin), b_copy(k, columns, margin), c(m, columns, margin);
            for (index_t p = 0; p < k; ++p) {
                for (index_t i = 0; i < m; ++i) a_copy.view()(i, p) = a.view()(i, p);
                for (index_t j = 0; j < columns; ++j) b_copy.view()(p, j) = b.view()(p, j);
            }
            blas::gemm(Op::none, Op::none, T(1), a_copy.view(), b_copy.view(), T(0), c.view());
            results.push_back(dense(c.view()));
        }
        for (const Dense& result : results) CHECK(result.entries == results.front().entries);
    }
}

/// A copy whose columns begin cache lines, so that products may read it where it lies.
template <class T>
ColumnBuffer<T> aligned_copy(MatrixView<T> a) {
    ColumnBuffer<T> copy(a.rows, a.cols);
    const auto target = copy.columns(0, a.cols);
    for (index_t j = 0; j < a.cols; ++j)
        for (index_t i = 0; i < a.rows; ++i) target(i, j) = a(i, j);
    return copy;
}

/// Read in place or packed, to the same bits. Of `c`, margins are guarded.
template <class T>
void test_products_in_place(index_t m, index_t n, index_t k, Op op_a, Op op_b) {
    auto a = op_a == Op::none ? random_matrix<T>(m, k) : random_matrix<T>(k, m);
    auto b = op_b == Op::none ? random_matrix<T>(k, n) : random_matrix<T>(n, k);
    const auto a_aligned = aligned_copy(a.view()), b_aligned = aligned_copy(b.view());
    Guarded<T> packed(m, n), in_place(m, n);
    blas::gemm(op_a, op_b, T(-1), a.view(), b.view(), T(0), packed.view());
    blas::gemm(op_a, op_b, T(-1), a_aligned.columns(0, a.view().cols),
               b_aligned.columns(0, b.view().cols), T(0), in_place.view());
    CHECK(dense(in_place.view()).entries == dense(packed.view()).entries);
    CHECK(in_place.margins_are_intact());
}

template <class T>
void test_products_in_place() {
    for (const Op op_a : kOps)
        for (const Op op_b : kOps) {
            for (const index_t m : {16, 32, 64, 240, 241, 248})
                for (const index_t n : {8, 16, 48, 72, 73})
                    for (const index_t k : {8, 47, 390})
                        test_products_in_place<T>(m, n, k, op_a, op_b);
            test_products_in_place<T>(360, 1152, 800, op_a, op_b);
        }
}

template <class T>
void test_all() {
    test_products_in_place<T>();
    test_gemm_shapes<T>();
    for (const index_t n : kSizes)
        for (const index_t k : kSizes)
            for (const Op op : kOps) {
                test_syrk<T>(n, k, op);
                for (const Side side : kSides) test_trmm_and_trsm<T>(n, k, side, op);
            }
    for (const Op op : kOps) {
        test_syrk<T>(700, 300, op);
        for (const Side side : kSides) test_trmm_and_trsm<T>(700, 33, side, op);
    }
    for (const index_t n : kSizes) {
        test_potrf<T>(n);
        test_trtri_and_lauum<T>(n);
    }
    test_potrf<T>(700);
    test_trtri_and_lauum<T>(700);
    test_potrf_failures<T>();
    test_reproducibility<T>();
}

/// Σ_k x(i, k)·y(j, k) over the columns of [X X'] and [Y Y'].
template <class T>
double inner(MatrixView<T> x, MatrixView<T> x_rest, MatrixView<T> y, MatrixView<T> y_rest,
             index_t i, index_t j) {
    double sum = 0.0;
    for (index_t k = 0; k < x.cols; ++k) sum += double(x(i, k)) * double(y(j, k));
    for (index_t k = 0; k < x_rest.cols; ++k) sum += double(x_rest(i, k)) * double(y_rest(j, k));
    return sum;
}

/// Q is orthogonal: it leaves inner products of rows as they were.
template <class T>
void check_lq(index_t n, index_t k, index_t m, index_t group) {
    auto l = random_matrix<T>(n, n), v = random_matrix<T>(n, k), a = random_matrix<T>(m, n),
         b = random_matrix<T>(m, k), factors = random_matrix<T>(group, n);
    for (index_t j = 0; j < n; ++j) {
        l.view()(j, j) += T(2);
        for (index_t i = 0; i < j; ++i) l.view()(i, j) = T(0);
    }
    auto l_old = l, v_old = v, a_old = a, b_old = b;
    std::vector<T> signs(n), zeros(n * k);
    const blas::Reflectors<T> q{v.view(), factors.view(), signs.data()};
    blas::lq(l.view(), q);
    blas::reflect(q, a.view(), b.view());
    const MatrixView<T> nothing(zeros.data(), n, k);
    const double bound = 20.0 * double(n + k) * double(std::numeric_limits<T>::epsilon());
    for (index_t j = 0; j < n; ++j) {
        CHECK(l.view()(j, j) > T(0));
        for (index_t i = 0; i < j; ++i) CHECK(l.view()(i, j) == T(0));
        for (index_t i = 0; i < n; ++i)
            CHECK_CLOSE(inner(l.view(), nothing, l.view(), nothing, i, j),
                        inner(l_old.view(), v_old.view(), l_old.view(), v_old.view(), i, j), bound);
        for (index_t i = 0; i < m; ++i)
            CHECK_CLOSE(inner(a.view(), b.view(), l.view(), nothing, i, j),
                        inner(a_old.view(), b_old.view(), l_old.view(), v_old.view(), i, j), bound);
    }
    for (index_t j = 0; j < m; ++j)
        CHECK_CLOSE(inner(a.view(), b.view(), a.view(), b.view(), j, j),
                    inner(a_old.view(), b_old.view(), a_old.view(), b_old.view(), j, j), bound);
    for (auto* matrix : {&l, &v, &a, &b, &factors}) CHECK(matrix->margins_are_intact());
}

template <class T>
void test_lq() {
    for (const index_t n : {1, 7, 24, 65})
        for (const index_t k : {1, 3, 33, 90})
            for (const index_t m : {0, 2, 40})
                for (const index_t group : {1, 8, 64}) check_lq<T>(n, k, m, std::min(group, n));
}

}  // namespace

int main() {
    blas::initialise();
    blas::initialise();
    test_all<double>();
    test_all<float>();
    test_lq<double>();
    test_lq<float>();
    return check::report();
}
