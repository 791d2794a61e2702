#pragma once

#include "gprat/linalg/buffer.hpp"
#include "gprat/types.hpp"

namespace gprat {

/// Uninitialised memory for vectors of `rows` entries, side by side. Each begins a cache line, and
/// neighbours are an odd number of lines apart, so that they don't compete for the same few places
/// of a cache, as they would where `rows` is a power of two.
template <class T>
class ColumnBuffer {
public:
    ColumnBuffer() = default;
    ColumnBuffer(index_t rows, index_t columns)
        : rows_(rows), ld_(leading_dimension(rows)), memory_(ld_ * columns) {}

    MatrixView<T> columns(index_t first, index_t count) const {
        return {memory_.data() + first * ld_, rows_, count, ld_};
    }

private:
    static constexpr index_t leading_dimension(index_t rows) {
        constexpr index_t line = 64 / sizeof(T);
        return ((rows + line - 1) / line | 1) * line;
    }

    index_t rows_ = 0;
    index_t ld_ = 0;
    Buffer<T> memory_;
};

}  // namespace gprat
