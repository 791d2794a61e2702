#pragma once

#include <cstdint>
#include <type_traits>

namespace gprat {

/// Every size and index is 64 bit: n² overflows 32 bits already at n = 46 341.
using index_t = std::int64_t;

/// Non-owning column-major matrix: entry (i, j) lies at data[i + j * ld].
template <class T>
struct MatrixView {
    T* data = nullptr;
    index_t rows = 0;
    index_t cols = 0;
    index_t ld = 0;

    constexpr MatrixView() = default;
    constexpr MatrixView(T* data_, index_t rows_, index_t cols_, index_t ld_)
        : data(data_), rows(rows_), cols(cols_), ld(ld_) {}
    constexpr MatrixView(T* data_, index_t rows_, index_t cols_)
        : MatrixView(data_, rows_, cols_, rows_) {}

    /// A view that may write is also a view that may only read.
    template <class U>
        requires(std::is_same_v<const U, T> && !std::is_same_v<U, T>)
    constexpr MatrixView(const MatrixView<U>& other)  // NOLINT(google-explicit-constructor)
        : MatrixView(other.data, other.rows, other.cols, other.ld) {}

    constexpr T& operator()(index_t i, index_t j) const { return data[i + j * ld]; }
    constexpr T* column(index_t j) const { return data + j * ld; }

    /// The rows × cols block whose top left entry is (i, j).
    constexpr MatrixView block(index_t i, index_t j, index_t block_rows, index_t block_cols) const {
        return {data + i + j * ld, block_rows, block_cols, ld};
    }
};

}  // namespace gprat
