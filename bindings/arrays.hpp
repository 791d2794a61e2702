#pragma once

#include <nanobind/ndarray.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "gprat/linalg/buffer.hpp"
#include "gprat/types.hpp"

namespace gprat::bindings {

namespace nb = nanobind;

/// Read-only, C-contiguous, on the CPU: what crosses the border without a copy.
template <class T>
using MatrixIn = nb::ndarray<const T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
template <class T>
using VectorIn = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

template <class T>
using CubeIn = nb::ndarray<const T, nb::ndim<3>, nb::c_contig, nb::device::cpu>;

enum class Order { row_major, column_major };

/// Owns what is moved into it, until Python has no more use for that.
template <class Value>
std::pair<Value*, nb::capsule> give_to_python(Value&& value) {
    auto kept = std::make_unique<Value>(std::move(value));
    nb::capsule owner(kept.get(), [](void* p) noexcept { delete static_cast<Value*>(p); });
    return {kept.release(), std::move(owner)};
}

/// Hands the buffer over to NumPy.
template <class T>
nb::object to_numpy(Buffer<T>&& buffer, index_t size) {
    const auto [kept, owner] = give_to_python(std::move(buffer));
    return nb::cast(
        nb::ndarray<nb::numpy, T>(kept->data(), {static_cast<std::size_t>(size)}, owner));
}

inline nb::object to_numpy(const std::vector<double>& values) {
    Buffer<double> copy(std::ssize(values));
    std::copy(values.begin(), values.end(), copy.data());
    return to_numpy(std::move(copy), std::ssize(values));
}

template <class T>
nb::object to_numpy(Buffer<T>&& buffer, index_t rows, index_t cols, Order order) {
    const auto [kept, owner] = give_to_python(std::move(buffer));
    const bool by_row = order == Order::row_major;
    return nb::cast(nb::ndarray<nb::numpy, T>(
        kept->data(), {static_cast<std::size_t>(rows), static_cast<std::size_t>(cols)}, owner,
        {by_row ? cols : 1, by_row ? 1 : rows}));
}

/// In C's order, the last axis the fastest.
template <class T>
nb::object to_numpy(Buffer<T>&& buffer, index_t first, index_t second, index_t third) {
    const auto [kept, owner] = give_to_python(std::move(buffer));
    return nb::cast(nb::ndarray<nb::numpy, T>(
        kept->data(),
        {static_cast<std::size_t>(first), static_cast<std::size_t>(second),
         static_cast<std::size_t>(third)},
        owner));
}

}  // namespace gprat::bindings
