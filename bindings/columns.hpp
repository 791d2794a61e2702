#pragma once

#include <utility>

#include "arrays.hpp"
#include "gprat/error.hpp"
#include "interruptible.hpp"
#include "problem.hpp"

namespace gprat::bindings {

/// The columns of a row-major array, in place of which a result comes.
template <class T>
Buffer<T> copy_columns(const MatrixIn<T>& b) {
    const index_t rows = rows_of(b), cols = columns_of(b);
    Buffer<T> columns(rows * cols);
    for (index_t j = 0; j < cols; ++j)
        for (index_t i = 0; i < rows; ++i) columns[i + j * rows] = b.data()[i * cols + j];
    return columns;
}

/// Calls `work(columns, options)` on a copy of the columns of B, and returns it.
template <class T, class Work>
nb::object overwrite_columns(const MatrixIn<T>& b, index_t n, int threads, Work&& work) {
    if (rows_of(b) != n) throw InvalidArgument("B must have one row for each row of X");
    auto result = copy_columns(b);
    const MatrixView<T> columns(result.data(), rows_of(b), columns_of(b));
    run_interruptibly(threads, [&](const auto& options) { work(columns, options); });
    return to_numpy(std::move(result), rows_of(b), columns_of(b), Order::column_major);
}

}  // namespace gprat::bindings
