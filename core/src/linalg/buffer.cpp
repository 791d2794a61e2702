#include "gprat/linalg/buffer.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace gprat::detail {

namespace {

constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

constexpr std::size_t round_up(std::size_t bytes, std::size_t unit) {
    return (bytes + unit - 1) / unit * unit;
}

}  // namespace

std::unique_ptr<void, FreePages> allocate_pages(std::size_t bytes) {
    const bool is_large = bytes >= kHugePage;
    const std::size_t alignment = is_large ? kHugePage : kCacheLine;
    // Rounding a large request up to whole huge pages would cost up to 2 MiB and gain nothing.
    const std::size_t size = std::max(round_up(bytes, kCacheLine), kCacheLine);
    void* memory = nullptr;
    if (posix_memalign(&memory, alignment, size) != 0) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
    if (is_large) madvise(memory, size / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
    return std::unique_ptr<void, FreePages>(memory);
}

void FreePages::operator()(void* memory) const {
    std::free(memory);
}

}  // namespace gprat::detail
