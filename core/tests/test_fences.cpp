// Operands that begin or end beside a page that nobody may touch: operations on tiles read and
// write what they were given and nothing around it. Asking for memory ahead of its use is no
// reading; it may be asked for where there is none.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <new>
#include <random>
#include <vector>

#include "check.hpp"
#include "gprat/linalg/blas.hpp"

using namespace gprat;
using blas::Op;
using blas::Side;

namespace {

constexpr index_t kSizes[] = {1, 3, 4, 5, 8, 9, 17, 24, 25, 33, 65, 130};
constexpr index_t kMostEntries = 1100 * 400;
constexpr Op kOps[] = {Op::none, Op::transpose};
constexpr Side kSides[] = {Side::left, Side::right};

std::mt19937_64 generator;
char current[200];

/// What a page that is touched ends the program with.
void report_touch(int) {
    if (write(STDERR_FILENO, current, std::strlen(current)) < 0) std::_Exit(2);
    std::_Exit(1);
}

index_t random_below(index_t end) {
    return std::uniform_int_distribution<index_t>(0, end - 1)(generator);
}

enum class Fence { before, behind };

/// Memory between two pages that nobody may touch.
template <class T>
class Enclosure {
public:
    Enclosure() {
        void* const pages =
            mmap(nullptr, bytes_ + 2 * page_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pages == MAP_FAILED) throw std::bad_alloc();
        begin_ = static_cast<char*>(pages) + page_;
        if (mprotect(begin_, bytes_, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
    }
    ~Enclosure() { munmap(begin_ - page_, bytes_ + 2 * page_); }
    Enclosure(const Enclosure&) = delete;
    Enclosure& operator=(const Enclosure&) = delete;

    MatrixView<T> copy(MatrixView<T> a, Fence fence, index_t ld) {
        const auto extent = static_cast<std::size_t>((a.cols - 1) * ld + a.rows) * sizeof(T);
        char* const first = fence == Fence::before ? begin_ : begin_ + bytes_ - extent;
        const MatrixView<T> target(reinterpret_cast<T*>(first), a.rows, a.cols, ld);
        for (index_t j = 0; j < a.cols; ++j) std::copy_n(a.column(j), a.rows, target.column(j));
        return target;
    }

private:
    std::size_t page_ = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    std::size_t bytes_ = (kMostEntries * sizeof(T) + page_ - 1) / page_ * page_;
    char* begin_;
};

struct Shape {
    index_t rows, cols;
};

template <class T>
using Operands = std::array<MatrixView<T>, 3>;

/// As a triangle well conditioned, as the lower half of a symmetric matrix positive definite.
template <class T>
std::vector<T> random_entries(const Shape& shape) {
    std::vector<T> entries(static_cast<std::size_t>(shape.rows * shape.cols));
    std::uniform_real_distribution<double> uniform(-0.5, 0.5);
    for (T& entry : entries) entry = static_cast<T>(uniform(generator) / double(shape.rows));
    for (index_t i = 0; i < std::min(shape.rows, shape.cols); ++i)
        entries[static_cast<std::size_t>(i + i * shape.rows)] += T(2);
    return entries;
}

template <class T>
double largest_difference(MatrixView<T> a, MatrixView<T> b) {
    double largest = 0.0;
    for (index_t j = 0; j < a.cols; ++j)
        for (index_t i = 0; i < a.rows; ++i)
            largest = std::max(largest, std::abs(double(a(i, j)) - double(b(i, j))));
    return largest;
}

/// Side by side, in whole cache lines, or with a gap.
template <class T>
index_t random_leading_dimension(index_t rows) {
    constexpr index_t line = 64 / sizeof(T);
    const index_t choices[] = {rows, (rows + line - 1) / line * line, rows + 3};
    return choices[random_below(3)];
}

/// Operates on matrices in the open, and between fences in several places, with the same bits; to
/// rounding where one of them has so few rows or columns that OpenBLAS takes it by vectors.
template <class T, class Operation>
void check_places(const char* name, std::initializer_list<Shape> shapes, Operation operate) {
    static std::array<Enclosure<T>, 3> enclosures;
    std::array<std::vector<T>, 3> entries;
    Operands<T> open{}, fenced{};
    constexpr int kPlaces = 4;
    std::size_t count = 0;
    index_t least = kMostEntries, most = 0;
    for (const Shape& shape : shapes) {
        least = std::min({least, shape.rows, shape.cols});
        most = std::max({most, shape.rows, shape.cols});
        entries[count] = random_entries<T>(shape);
        open[count] = {entries[count].data(), shape.rows, shape.cols};
        ++count;
    }
    const double tolerance = least > blas::kFewVectors
                                 ? 0.0
                                 : 4.0 * double(most) * double(std::numeric_limits<T>::epsilon());
    const auto original = entries;
    operate(open);
    for (int place = 0; place < kPlaces; ++place) {
        int length =
            std::snprintf(current, sizeof current, "touched what is not its own: %s", name);
        for (std::size_t i = 0; i < count; ++i) {
            const auto [rows, cols] = shapes.begin()[i];
            const Fence fence = random_below(2) == 0 ? Fence::before : Fence::behind;
            const index_t ld = random_leading_dimension<T>(rows);
            auto copy = original[i];
            fenced[i] = enclosures[i].copy({copy.data(), rows, cols}, fence, ld);
            length += std::snprintf(current + length, sizeof current - length,
                                    ", %ld x %ld by %ld %s", long(rows), long(cols), long(ld),
                                    fence == Fence::before ? "behind a fence" : "before a fence");
        }
        std::snprintf(current + length, sizeof current - length, ", %zu bytes each\n", sizeof(T));
        operate(fenced);
        for (std::size_t i = 0; i < count; ++i)
            CHECK_CLOSE(largest_difference(fenced[i], open[i]), 0.0, tolerance);
    }
}

template <class T>
void check_gemm(index_t m, index_t n, index_t k) {
    for (const Op a : kOps)
        for (const Op b : kOps)
            check_places<T>(
                "gemm",
                {a == Op::none ? Shape{m, k} : Shape{k, m},
                 b == Op::none ? Shape{k, n} : Shape{n, k},
                 {m, n}},
                [=](const Operands<T>& x) { blas::gemm(a, b, T(-1), x[0], x[1], T(k % 2), x[2]); });
}

template <class T>
void check_two(index_t n, index_t m) {
    for (const Op op : kOps) {
        check_places<T>("syrk", {op == Op::none ? Shape{n, m} : Shape{m, n}, {n, n}},
                        [=](const Operands<T>& x) { blas::syrk(op, T(-1), x[0], T(1), x[1]); });
        for (const Side side : kSides) {
            const Shape shape = side == Side::left ? Shape{n, m} : Shape{m, n};
            check_places<T>("trsm", {{n, n}, shape},
                            [=](const Operands<T>& x) { blas::trsm(side, op, T(-1), x[0], x[1]); });
            check_places<T>("trmm", {{n, n}, shape},
                            [=](const Operands<T>& x) { blas::trmm(side, op, x[0], x[1]); });
        }
    }
}

template <class T>
void check_triangles(index_t n) {
    check_places<T>("potrf", {{n, n}},
                    [](const Operands<T>& x) { CHECK(blas::potrf(x[0]) == -1); });
    check_places<T>("trtri", {{n, n}}, [](const Operands<T>& x) { blas::trtri(x[0]); });
    check_places<T>("lauum", {{n, n}}, [](const Operands<T>& x) { blas::lauum(x[0]); });
}

template <class T>
void check_all() {
    for (const index_t n : kSizes) {
        for (const index_t m : kSizes) {
            for (const index_t k : kSizes) check_gemm<T>(m, n, k);
            check_two<T>(n, m);
        }
        check_triangles<T>(n);
    }
    // More than one block in each direction.
    check_gemm<T>(395, 1033, 391);
    check_gemm<T>(400, 1040, 392);
    check_two<T>(391, 395);
    check_triangles<T>(391);
}

}  // namespace

int main(int count, char** values) {
    const unsigned long seed = count > 1 ? std::strtoul(values[1], nullptr, 10)
                                         : static_cast<unsigned long>(std::random_device{}());
    std::printf("seed %lu\n", seed);
    std::fflush(stdout);
    generator.seed(seed);
    std::signal(SIGSEGV, report_touch);
    std::signal(SIGBUS, report_touch);
    blas::initialise();
    check_all<double>();
    check_all<float>();
    return check::report();
}
