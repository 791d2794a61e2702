#include "gprat/gp/covariance_tile.hpp"

#include <algorithm>
#include <vector>

#include "gprat/linalg/blas.hpp"

namespace gprat::gp {

namespace {

using blas::Op;
using covariance::Pairing;
using covariance::Region;

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

}  // namespace

template <class T>
Clipping explain_covariance_tile(const Problem<T>& problem, const WhitenedPoints<T>& rows,
                                 const WhitenedPoints<T>& columns, MatrixView<T> tile,
                                 MatrixView<T> mirror) {
    Clipping clipping;
    const bool diagonal = rows.points.first == columns.points.first;
    const auto region = diagonal ? Region::lower : Region::full;
    problem.kernel.evaluate(rows.points, columns.points, Pairing::same_set, region, tile);
    if (diagonal) {
        std::vector<T> prior(static_cast<std::size_t>(tile.rows));
        for (index_t r = 0; r < tile.rows; ++r) prior[r] = tile(r, r);
        blas::syrk(Op::transpose, T(-1), rows.v, T(1), tile);
        for (index_t r = 0; r < tile.rows; ++r)
            tile(r, r) = static_cast<T>(clipping.clip(tile(r, r), prior[r]));
        blas::syrk(Op::transpose, T(1), rows.g, T(1), tile);
    } else {
        blas::gemm(Op::transpose, Op::none, T(-1), rows.v, columns.v, T(1), tile);
        blas::gemm(Op::transpose, Op::none, T(1), rows.g, columns.g, T(1), tile);
    }
    copy_transposed<T>(tile, region, mirror);
    return clipping;
}

template Clipping explain_covariance_tile(const Problem<float>&, const WhitenedPoints<float>&,
                                          const WhitenedPoints<float>&, MatrixView<float>,
                                          MatrixView<float>);
template Clipping explain_covariance_tile(const Problem<double>&, const WhitenedPoints<double>&,
                                          const WhitenedPoints<double>&, MatrixView<double>,
                                          MatrixView<double>);

}  // namespace gprat::gp
