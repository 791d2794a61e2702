#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "gprat/types.hpp"

namespace gprat {

namespace detail {
/// Zero bytes stand for memory that is somebody else's.
struct FreePages {
    std::size_t bytes = 0;
    bool is_mapping = false;
    void operator()(void* memory) const noexcept;
};
std::unique_ptr<void, FreePages> allocate_pages(std::size_t bytes);
}  // namespace detail

/// While one lives, large buffers that this thread makes have addresses but no memory, which is all
/// that tasks need to be written down. Using what is there ends the process.
class AddressesOnly {
public:
    AddressesOnly();
    ~AddressesOnly();
    AddressesOnly(const AddressesOnly&) = delete;
    AddressesOnly& operator=(const AddressesOnly&) = delete;

private:
    bool before_;
};

/// Uninitialised memory for `size` numbers, aligned to a cache line, on huge pages where it's
/// large. Pages are touched first, and so placed, by the thread that first writes to them.
template <class T>
class Buffer {
public:
    Buffer() = default;
    explicit Buffer(index_t size)
        : memory_(detail::allocate_pages(static_cast<std::size_t>(size) * sizeof(T))),
          size_(size) {}

    /// Memory that somebody else keeps and frees.
    static Buffer borrow(T* memory, index_t size) {
        Buffer buffer;
        buffer.memory_ = {memory, detail::FreePages{}};
        buffer.size_ = size;
        return buffer;
    }

    T* data() const { return static_cast<T*>(memory_.get()); }
    index_t size() const { return size_; }
    T& operator[](index_t i) const { return data()[i]; }

private:
    std::unique_ptr<void, detail::FreePages> memory_;
    index_t size_ = 0;
};

/// Memory of at least `size` numbers, a task's workspace, which this thread keeps for its next
/// task. A kernel in Python may compute with other models in the midst of a task: that finds
/// nothing kept and takes memory of its own.
template <class T>
class ThreadScratch {
public:
    explicit ThreadScratch(index_t size) : memory_(std::exchange(kept(), Buffer<T>())) {
        if (memory_.size() < size) memory_ = Buffer<T>(size);
    }
    ~ThreadScratch() { kept() = std::move(memory_); }
    ThreadScratch(const ThreadScratch&) = delete;
    ThreadScratch& operator=(const ThreadScratch&) = delete;

    T* data() const { return memory_.data(); }

private:
    static Buffer<T>& kept() {
        thread_local Buffer<T> buffer;
        return buffer;
    }

    Buffer<T> memory_;
};

}  // namespace gprat
