#include <nanobind/stl/optional.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "bindings.hpp"
#include "gprat/error.hpp"
#include "gprat/gp/blocks.hpp"
#include "interruptible.hpp"
#include "problem.hpp"

namespace gprat::bindings {

using namespace nb::literals;
namespace blocks = gp::blocks;

namespace {

/// Dense blocks are column-major, triangles one-dimensional as `TiledMatrix` has its tiles.
template <class T>
using DenseIn = nb::ndarray<const T, nb::ndim<2>, nb::f_contig, nb::device::cpu>;

template <class T>
MatrixView<const T> as_view(const DenseIn<T>& a) {
    return {a.data(), static_cast<index_t>(a.shape(0)), static_cast<index_t>(a.shape(1))};
}

template <class T>
TiledMatrix<T> as_triangle(const VectorIn<T>& tiles, index_t size, index_t tile_size) {
    // Blocks that are given are only read.
    return {TileLayout(size, tile_size),
            Buffer<T>::borrow(const_cast<T*>(tiles.data()), static_cast<index_t>(tiles.size()))};
}

/// Points of a block's rows and columns, with the arrays; Python keeps the kernel alive.
template <class T>
class CovarianceBlock {
public:
    CovarianceBlock(const covariance::Covariance<T>& kernel, MatrixIn<T> rows, index_t first_row,
                    MatrixIn<T> columns, index_t first_column, bool same_set,
                    std::optional<VectorIn<double>> noise)
        : kernel_(kernel),
          rows_(std::move(rows)),
          columns_(std::move(columns)),
          noise_(std::move(noise)),
          first_row_(first_row),
          first_column_(first_column),
          same_set_(same_set) {
        if (columns_of(rows_) != columns_of(columns_))
            throw InvalidArgument("rows and columns have different numbers of features");
        if (noise_ && static_cast<index_t>(noise_->size()) != rows_of(rows_))
            throw InvalidArgument("noise must have one value a row");
    }

    blocks::Covariances<T> view() const {
        const auto at = [](const MatrixIn<T>& x, index_t first) {
            auto points = as_points(x);
            points.first = first;
            return points;
        };
        std::span<const double> noise;
        if (noise_) noise = {noise_->data(), noise_->size()};
        return {kernel_, at(rows_, first_row_), at(columns_, first_column_),
                same_set_ ? covariance::Pairing::same_set : covariance::Pairing::cross, noise};
    }

private:
    const covariance::Covariance<T>& kernel_;
    MatrixIn<T> rows_, columns_;
    std::optional<VectorIn<double>> noise_;
    index_t first_row_, first_column_;
    bool same_set_;
};

/// What a call adds up, with the arrays that it reads.
template <class T>
class SumOfArrays {
public:
    /// `start` is None, a dense block, the tiles of a triangle, or covariances; each product
    /// (scale, A, A is transposed, A is lower, B, B is transposed, B is lower, weights or None).
    SumOfArrays(const nb::object& start, const nb::sequence& products, index_t rows,
                index_t columns, index_t tile_size) {
        set_start(start, rows, columns, tile_size);
        for (const nb::handle product : products) add(nb::cast<nb::tuple>(product), rows, columns);
    }

    const blocks::Sum<T>& operator*() const { return sum_; }

private:
    void set_start(const nb::object& start, index_t rows, index_t columns, index_t tile_size) {
        if (start.is_none()) return;
        if (nb::isinstance<CovarianceBlock<T>>(start)) {
            const auto& of = nb::cast<const CovarianceBlock<T>&>(start);
            const auto view = of.view();
            if (view.rows.count != rows || view.columns.count != columns)
                throw InvalidArgument("the points do not fit the block");
            sum_.start.template emplace<blocks::Covariances<T>>(view);
        } else if (VectorIn<T> tiles; nb::try_cast(start, tiles)) {
            triangle_ = as_triangle<T>(keep(vectors_, std::move(tiles)), rows, tile_size);
            sum_.start = &triangle_;
        } else {
            const auto view = as_view<T>(keep(matrices_, nb::cast<DenseIn<T>>(start)));
            if (view.rows != rows || view.cols != columns)
                throw InvalidArgument("the block to start from has another shape");
            sum_.start = view;
        }
    }

    void add(const nb::tuple& product, index_t rows, index_t columns) {
        const auto factor = [&](int at) {
            const auto view = as_view<T>(keep(matrices_, nb::cast<DenseIn<T>>(product[at])));
            return blocks::Factor<T>{
                nb::cast<bool>(product[at + 1]) ? blas::Op::transpose : blas::Op::none,
                nb::cast<bool>(product[at + 2]) ? blocks::Shape::lower : blocks::Shape::full, view};
        };
        blocks::Product<T> converted{nb::cast<double>(product[0]), factor(1), factor(4)};
        const auto& [scale, left, right, weights] = converted;
        if (left.rows() != rows || right.cols() != columns || left.cols() != right.rows())
            throw InvalidArgument("the factors of a product do not fit the block");
        if (!product[7].is_none()) {
            const auto& values = keep(vectors_, nb::cast<VectorIn<T>>(product[7]));
            if (static_cast<index_t>(values.size()) != left.cols())
                throw InvalidArgument("a product needs one weight for each inner index");
            converted.weights = values.data();
        }
        sum_.products.push_back(converted);
    }

    template <class Array>
    static const Array& keep(std::vector<Array>& kept, Array array) {
        return kept.emplace_back(std::move(array));
    }

    blocks::Sum<T> sum_;
    TiledMatrix<T> triangle_;
    std::vector<DenseIn<T>> matrices_;
    std::vector<VectorIn<T>> vectors_;
};

template <class T>
nb::object compute(const nb::object& start, const nb::sequence& products, index_t rows,
                   index_t columns, index_t tile_size, int finish,
                   const std::optional<VectorIn<T>>& triangle, int threads) {
    const SumOfArrays<T> sum(start, products, rows, columns, tile_size);
    const auto how = static_cast<blocks::Finish>(finish);
    TiledMatrix<T> l;
    if (triangle)
        l = as_triangle<T>(*triangle, how == blocks::Finish::solve_from_right ? columns : rows,
                           tile_size);
    else if (how != blocks::Finish::none)
        throw InvalidArgument("there is no triangle to finish the block with");
    Buffer<T> block(rows * columns);
    run_interruptibly(threads, [&](const auto& options) {
        blocks::compute<T>(*sum, how, &l, tile_size, {block.data(), rows, columns}, options);
    });
    return to_numpy(std::move(block), rows, columns, Order::column_major);
}

template <class T>
nb::object compute_triangle(const nb::object& start, const nb::sequence& products, index_t size,
                            index_t tile_size, int finish, int threads) {
    const SumOfArrays<T> sum(start, products, size, size, tile_size);
    const TileLayout layout(size, tile_size);
    const index_t entries = TiledMatrix<T>::size_of(layout);
    Buffer<T> tiles(entries);
    run_interruptibly(threads, [&](const auto& options) {
        const TiledMatrix<T> block(layout, Buffer<T>::borrow(tiles.data(), entries));
        blocks::compute_triangle<T>(*sum, static_cast<blocks::TriangleFinish>(finish), block,
                                    options);
    });
    return to_numpy(std::move(tiles), entries);
}

template <class T>
nb::tuple contract(const nb::object& start, const nb::sequence& products,
                   const CovarianceBlock<T>& of, unsigned wanted, index_t tile_size, int threads) {
    const auto covariances = of.view();
    const index_t rows = covariances.rows.count, columns = covariances.columns.count,
                  d = covariances.rows.dimension;
    const SumOfArrays<T> sum(start, products, rows, columns, tile_size);
    blocks::BlockAdjoint result;
    run_interruptibly(threads, [&](const auto& options) {
        result = blocks::contract<T>(*sum, covariances, static_cast<blocks::Wanted>(wanted),
                                     tile_size, options);
    });
    const auto matrix = [d](Buffer<double>& values, index_t count) -> nb::object {
        if (values.size() == 0) return nb::none();
        return to_numpy(std::move(values), count, d, Order::row_major);
    };
    nb::object noise = nb::none();
    if (result.noise.size() > 0) noise = to_numpy(std::move(result.noise), rows);
    return nb::make_tuple(to_numpy(result.parameters), noise, matrix(result.rows, rows),
                          matrix(result.columns, columns));
}

template <class T>
void bind_for(nb::module_& module, const std::string& suffix, const std::string& type) {
    nb::class_<CovarianceBlock<T>>(module, ("CovarianceBlock" + type).c_str())
        .def(nb::init<const covariance::Covariance<T>&, MatrixIn<T>, index_t, MatrixIn<T>, index_t,
                      bool, std::optional<VectorIn<double>>>(),
             nb::keep_alive<1, 2>(), "covariance"_a, "rows"_a.noconvert(), "first_row"_a,
             "columns"_a.noconvert(), "first_column"_a, "same_set"_a, "noise"_a.none());
    module.def(("compute_" + suffix).c_str(), &compute<T>, "start"_a.none(), "products"_a, "rows"_a,
               "columns"_a, "tile_size"_a, "finish"_a, "triangle"_a.noconvert().none(),
               "threads"_a);
    module.def(("compute_triangle_" + suffix).c_str(), &compute_triangle<T>, "start"_a.none(),
               "products"_a, "size"_a, "tile_size"_a, "finish"_a, "threads"_a);
    module.def(("contract_" + suffix).c_str(), &contract<T>, "start"_a.none(), "products"_a, "of"_a,
               "wanted"_a, "tile_size"_a, "threads"_a);
}

}  // namespace

void bind_blocks(nb::module_& module) {
    nb::module_ parts = module.def_submodule("blocks");
    bind_for<double>(parts, "float64", "Float64");
    bind_for<float>(parts, "float32", "Float32");
}

}  // namespace gprat::bindings
