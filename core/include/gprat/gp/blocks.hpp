#pragma once

#include <span>
#include <variant>
#include <vector>

#include "gprat/covariance/covariance.hpp"
#include "gprat/linalg/blas.hpp"
#include "gprat/linalg/buffer.hpp"
#include "gprat/linalg/tiled_matrix.hpp"
#include "gprat/tasks/task_graph.hpp"

/// Parts of a matrix that is too large for one machine. A block of K, of its factor or inverse is
/// a dense matrix, or on the diagonal a triangle of tiles. What computes one is a graph of its own.
namespace gprat::gp::blocks {

enum class Shape { full, lower };

/// op(A), which is only read. Of Shape::lower A is triangular before op is applied.
template <class T>
struct Factor {
    blas::Op op;
    Shape shape;
    MatrixView<const T> a;

    index_t rows() const { return op == blas::Op::none ? a.rows : a.cols; }
    index_t cols() const { return op == blas::Op::none ? a.cols : a.rows; }
};

/// scale·op(A)·diag(weights)·op(B); null weights are ones.
template <class T>
struct Product {
    double scale;
    Factor<T> left;
    Factor<T> right;
    const T* weights = nullptr;
};

/// k(rows, columns). Points of the same set get their noise, one a row, where rows and columns are
/// the same; empty noise is zero.
template <class T>
struct Covariances {
    const covariance::Covariance<T>& kernel;
    covariance::Points<T> rows;
    covariance::Points<T> columns;
    covariance::Pairing pairing;
    std::span<const double> noise;
};

/// What a block is before products are added: zeros, a dense or a triangular block, covariances.
template <class T>
using Start =
    std::variant<std::monostate, MatrixView<const T>, const TiledMatrix<T>*, Covariances<T>>;

template <class T>
struct Sum {
    Start<T> start;
    std::vector<Product<T>> products;
};

/// What is done to a block B at the end, with the triangle L.
enum class Finish {
    none = 0,
    solve = 1,               ///< L⁻¹B
    solve_transposed = 2,    ///< L⁻ᵀB
    solve_from_right = 3,    ///< BL⁻ᵀ
    multiply = 4,            ///< LB
    multiply_transposed = 5  ///< LᵀB
};

/// Computes a dense block; `l` is null where nothing is done at the end.
template <class T>
void compute(const Sum<T>& sum, Finish finish, const TiledMatrix<T>* l, index_t tile_size,
             MatrixView<T> block, const tasks::RunOptions& options);

/// What is done to a triangle at the end: nothing; its Cholesky factor, which throws
/// NotPositiveDefinite with the row of the block; its inverse as a triangular matrix.
enum class TriangleFinish { none = 0, cholesky = 1, inverse = 2 };

/// Computes the lower triangle of a block on the diagonal.
template <class T>
void compute_triangle(const Sum<T>& sum, TriangleFinish finish, const TiledMatrix<T>& block,
                      const tasks::RunOptions& options);

/// What derivatives are by: any sum of these.
enum class Wanted : unsigned { parameters = 1, points = 2 };

/// Derivatives through the covariances of a block; empty where they are not wanted.
struct BlockAdjoint {
    std::vector<double> parameters;
    Buffer<double> noise;    ///< of a block on the diagonal: by the noise of each row
    Buffer<double> rows;     ///< rows × dimension: by the points of the rows
    Buffer<double> columns;  ///< likewise of the columns, but on the diagonal
};

/// Contracts the adjoint at a block with the kernel's derivatives: those of Σ adjoint(i, j)·k_ij.
/// On the diagonal, where rows and columns are the same points of a set, the adjoint's lower
/// triangle stands for its mirror image too.
template <class T>
BlockAdjoint contract(const Sum<T>& adjoint, const Covariances<T>& of, Wanted wanted,
                      index_t tile_size, const tasks::RunOptions& options);

}  // namespace gprat::gp::blocks
