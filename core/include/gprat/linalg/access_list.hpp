#pragma once

#include <initializer_list>
#include <span>
#include <vector>

#include "gprat/linalg/tiled_matrix.hpp"

namespace gprat {

/// Collects the handles that a task reads when they are runs of tiles.
class AccessList {
public:
    AccessList() = default;

    template <class Tiles>
    AccessList& row(const Tiles& matrix, index_t i, TileRange columns) {
        for (index_t j = columns.first; j < columns.last; ++j)
            handles_.push_back(matrix.handle(i, j));
        return *this;
    }

    template <class T>
    AccessList& rows(const BlockOperand<T>& block, TileRange range) {
        for (index_t i = range.first; i < range.last; ++i) handles_.push_back(block.handle(i));
        return *this;
    }

    AccessList& add(tasks::Handle handle) {
        handles_.push_back(handle);
        return *this;
    }

    operator std::span<const tasks::Handle>() const { return handles_; }  // NOLINT

private:
    std::vector<tasks::Handle> handles_;
};

}  // namespace gprat
