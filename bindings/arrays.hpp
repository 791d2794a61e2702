#pragma once

#include <nanobind/ndarray.h>

#include <utility>

#include "gprat/linalg/buffer.hpp"
#include "gprat/types.hpp"

namespace gprat::bindings {

namespace nb = nanobind;

/// Read-only, C-contiguous, on the CPU: what crosses the border without a copy.
template <class T>
using MatrixIn = nb::ndarray<const T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
template <class T>
using VectorIn = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

enum class Order { row_major, column_major };

/// Hands the buffer over to NumPy.
template <class T>
nb::object to_numpy(Buffer<T>&& buffer, index_t size) {
    auto* const kept = new Buffer<T>(std::move(buffer));
    const nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<Buffer<T>*>(p); });
    return nb::cast(
        nb::ndarray<nb::numpy, T>(kept->data(), {static_cast<std::size_t>(size)}, owner));
}

template <class T>
nb::object to_numpy(Buffer<T>&& buffer, index_t rows, index_t cols, Order order) {
    auto* const kept = new Buffer<T>(std::move(buffer));
    const nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<Buffer<T>*>(p); });
    const bool by_row = order == Order::row_major;
    return nb::cast(nb::ndarray<nb::numpy, T>(
        kept->data(), {static_cast<std::size_t>(rows), static_cast<std::size_t>(cols)}, owner,
        {by_row ? cols : 1, by_row ? 1 : rows}));
}

/// In C's order, the last axis the fastest.
template <class T>
nb::object to_numpy(Buffer<T>&& buffer, index_t first, index_t second, index_t third) {
    auto* const kept = new Buffer<T>(std::move(buffer));
    const nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<Buffer<T>*>(p); });
    return nb::cast(nb::ndarray<nb::numpy, T>(
        kept->data(),
        {static_cast<std::size_t>(first), static_cast<std::size_t>(second),
         static_cast<std::size_t>(third)},
        owner));
}

}  // namespace gprat::bindings
