#include "gprat/linalg/buffer.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <utility>

#include "gprat/linalg/page_cache.hpp"

namespace gprat {

namespace {
thread_local bool addresses_only = false;
}  // namespace

AddressesOnly::AddressesOnly() : before_(std::exchange(addresses_only, true)) {}

AddressesOnly::~AddressesOnly() {
    addresses_only = before_;
}

}  // namespace gprat

namespace gprat::detail {

namespace {

constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kSmallPage = 4096;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

constexpr std::size_t round_up(std::size_t bytes, std::size_t unit) {
    return (bytes + unit - 1) / unit * unit;
}

PageCache::Block allocate(std::size_t bytes, std::size_t alignment) {
    void* memory = nullptr;
    if (posix_memalign(&memory, alignment, bytes) != 0) throw std::bad_alloc();
    return {memory, bytes};
}

PageCache::Block allocate_large(std::size_t bytes) {
    auto block = PageCache::instance().take(bytes);
    if (block.memory != nullptr) return block;
    block = allocate(bytes, kHugePage);
#if defined(MADV_HUGEPAGE)
    // The end that fills no huge page stays on small ones: rounding up would cost up to 2 MiB.
    madvise(block.memory, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
    return block;
}

// Pages that cannot be used count against no limit on memory.
void* map_addresses(std::size_t bytes) {
    void* const addresses =
        mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (addresses == MAP_FAILED) throw std::bad_alloc();
    return addresses;
}

}  // namespace

std::unique_ptr<void, FreePages> allocate_pages(std::size_t bytes) {
    const std::size_t size = std::max(round_up(bytes, kCacheLine), kCacheLine);
    if (addresses_only && size >= kHugePage) return {map_addresses(size), FreePages{size, true}};
    const auto block =
        size >= kHugePage ? allocate_large(round_up(size, kSmallPage)) : allocate(size, kCacheLine);
    return {block.memory, FreePages{block.bytes}};
}

void FreePages::operator()(void* memory) const noexcept {
    if (bytes == 0) return;
    if (is_mapping) {
        munmap(memory, bytes);
    } else if (bytes >= kHugePage) {
        PageCache::instance().give({memory, bytes});
    } else {
        std::free(memory);
    }
}

}  // namespace gprat::detail
