#include "gprat/linalg/page_cache.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <limits>

namespace gprat {

namespace {

std::size_t physical_memory() {
    return static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) *
           static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

// Never destroyed: buffers of other static objects may outlive it.
PageCache& PageCache::instance() {
    static auto* cache = new PageCache;
    return *cache;
}

// Room for all that can be kept: giving memory back must not need any.
PageCache::PageCache() : most_bytes_(physical_memory() / 8) {
    blocks_.reserve(kMostBlocks);
}

// Who finds the cache locked does without it: it's never worth a wait, and in a forked child the
// lock's owner may not exist.
PageCache::Block PageCache::take(std::size_t bytes) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock()) return {nullptr, 0};
    // The smallest that is large enough: a larger one may be what the next request is for.
    const auto excess = [bytes](const Block& block) {
        return block.bytes < bytes ? std::numeric_limits<std::size_t>::max() : block.bytes - bytes;
    };
    const auto found = std::ranges::min_element(blocks_, {}, excess);
    if (found == blocks_.end() || excess(*found) > bytes / 4) {
        free_all();
        return {nullptr, 0};
    }
    const Block block = *found;
    blocks_.erase(found);
    bytes_ -= block.bytes;
    return block;
}

void PageCache::give(Block block) noexcept {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock() || blocks_.size() == kMostBlocks || bytes_ + block.bytes > most_bytes_) {
        std::free(block.memory);
        return;
    }
#if defined(MADV_FREE)
    madvise(block.memory, block.bytes, MADV_FREE);
#endif
    blocks_.push_back(block);
    bytes_ += block.bytes;
}

void PageCache::clear() {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (lock.owns_lock()) free_all();
}

void PageCache::free_all() {
    for (const Block& block : blocks_) std::free(block.memory);
    blocks_.clear();
    bytes_ = 0;
}

}  // namespace gprat
