#include "failing_allocator.hpp"

#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define GPRAT_OWN_MALLOC 0
#else
#define GPRAT_OWN_MALLOC 1
#endif

namespace {

// Plain atomics, which are there before any constructor has run.
std::atomic<bool> is_counting{false};
std::atomic<long> allocations{0};
std::atomic<long> first_to_fail{0};
std::atomic<long> last_to_fail{0};
std::atomic<long> live{0};

/// The addresses of a library's code and data.
struct Range {
    std::atomic<std::uintptr_t> begin{0};
    std::atomic<std::uintptr_t> end{0};

    bool contains(std::uintptr_t address) const { return begin <= address && address < end; }
};

std::atomic<bool> is_limited{false};
Range library;
// glibc ends the program where it can't note that a variable of a thread has a destructor, as it
// does when a thread uses one for the first time. No caller can do better.
Range c_library;
Range loader;
// Without memory while it starts, oneTBB waits for itself; while it starts a thread, it believes
// ever after that the thread runs. Nothing that calls it can mend that. What it makes by `new` is
// for threads, by `malloc` for all else.
Range onetbb;
std::atomic<bool> onetbb_may_fail{false};

// nanobind ends the process when one of its maps of objects cannot grow.
std::atomic<int (*)()> holds_interpreter{nullptr};
// It asks for none that is aligned.
constexpr std::size_t kBookkeeping = 1 << 16;
constexpr std::size_t kAligned = SIZE_MAX;

bool fails(const void* caller, std::size_t bytes) {
    if (!is_counting.load(std::memory_order_relaxed)) return false;
    const auto address = reinterpret_cast<std::uintptr_t>(caller);
    if (onetbb.contains(address) && !onetbb_may_fail) return false;
    const auto holds = holds_interpreter.load(std::memory_order_relaxed);
    if (holds != nullptr && bytes < kBookkeeping && holds() != 0) return false;
    if (is_limited.load(std::memory_order_relaxed)
            ? !library.contains(address)
            : c_library.contains(address) || loader.contains(address))
        return false;
    const long number = allocations.fetch_add(1, std::memory_order_relaxed) + 1;
    return number >= first_to_fail && number <= last_to_fail;
}

void* counted(void* memory) {
    if (memory != nullptr) live.fetch_add(1, std::memory_order_relaxed);
    return memory;
}

struct Search {
    const char* name;
    Range& found;
};

int find_library(dl_phdr_info* info, std::size_t, void* argument) {
    const auto& search = *static_cast<const Search*>(argument);
    if (std::strstr(info->dlpi_name, search.name) == nullptr) return 0;
    std::uintptr_t begin = UINTPTR_MAX, end = 0;
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const auto& segment = info->dlpi_phdr[i];
        if (segment.p_type != PT_LOAD) continue;
        begin = std::min<std::uintptr_t>(begin, info->dlpi_addr + segment.p_vaddr);
        end = std::max<std::uintptr_t>(end, info->dlpi_addr + segment.p_vaddr + segment.p_memsz);
    }
    search.found.begin = begin;
    search.found.end = end;
    return 1;
}

void locate(const char* name, Range& found) {
    Search search{name, found};
    dl_iterate_phdr(find_library, &search);
}

}  // namespace

extern "C" {

void gprat_faults_begin(long number, long more) {
    locate("/libc.so", c_library);
    locate("/ld-linux", loader);
    locate("/libtbb.so", onetbb);
    allocations = 0;
    first_to_fail = number > 0 ? number : -1;
    last_to_fail = number > 0 ? number + more : -1;
    is_counting = true;
}

long gprat_faults_end() {
    is_counting = false;
    return allocations;
}

void gprat_faults_only_from(const char* name) {
    library.end = 0;
    is_limited = name != nullptr;
    if (name != nullptr) locate(name, library);
}

void gprat_faults_of_onetbb(int may_fail) {
    onetbb_may_fail = may_fail != 0;
}

void gprat_faults_spare_bookkeeping(int (*holds)()) {
    holds_interpreter = holds;
}

long gprat_faults_live() {
    return live;
}

#if GPRAT_OWN_MALLOC

// The names under which the C library has its own.
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void __libc_free(void*);

void* malloc(std::size_t bytes) {
    if (fails(__builtin_return_address(0), bytes)) {
        errno = ENOMEM;
        return nullptr;
    }
    return counted(__libc_malloc(bytes));
}

void* calloc(std::size_t count, std::size_t bytes) {
    if (fails(__builtin_return_address(0), count * bytes)) {
        errno = ENOMEM;
        return nullptr;
    }
    return counted(__libc_calloc(count, bytes));
}

void* realloc(void* memory, std::size_t bytes) {
    if (fails(__builtin_return_address(0), bytes)) {
        errno = ENOMEM;
        return nullptr;
    }
    void* const moved = __libc_realloc(memory, bytes);
    return memory == nullptr ? counted(moved) : moved;
}

void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
    if (fails(__builtin_return_address(0), bytes)) {
        errno = ENOMEM;
        return nullptr;
    }
    return counted(__libc_memalign(alignment, bytes));
}

void* memalign(std::size_t alignment, std::size_t bytes) {
    if (fails(__builtin_return_address(0), bytes)) {
        errno = ENOMEM;
        return nullptr;
    }
    return counted(__libc_memalign(alignment, bytes));
}

int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) {
    if (fails(__builtin_return_address(0), kAligned)) return ENOMEM;
    *memory = counted(__libc_memalign(alignment, bytes));
    return *memory == nullptr ? ENOMEM : 0;
}

void free(void* memory) {
    if (memory != nullptr) live.fetch_sub(1, std::memory_order_relaxed);
    __libc_free(memory);
}

#else

int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) {
    if (fails(__builtin_return_address(0), kAligned)) return ENOMEM;
    // Freed by `free`, which is not seen here: so it isn't counted among what lives.
    *memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    return *memory == nullptr ? ENOMEM : 0;
}

#endif
}

namespace {

// By the names of the C library, so that who asked is known, and no allocation counts twice.
void* allocate(std::size_t bytes, std::size_t alignment, const void* caller) {
    const bool starts_thread = onetbb.contains(reinterpret_cast<std::uintptr_t>(caller));
    if (!starts_thread && fails(caller, bytes)) return nullptr;
    const std::size_t size = bytes == 0 ? 1 : bytes;
#if GPRAT_OWN_MALLOC
    return counted(alignment == 0 ? __libc_malloc(size) : __libc_memalign(alignment, size));
#else
    return counted(alignment == 0 ? std::malloc(size)
                                  : std::aligned_alloc(
                                        alignment, (size + alignment - 1) / alignment * alignment));
#endif
}

void* allocate_or_throw(std::size_t bytes, std::size_t alignment, const void* caller) {
    void* const memory = allocate(bytes, alignment, caller);
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
}

void release(void* memory) {
#if GPRAT_OWN_MALLOC
    free(memory);
#else
    if (memory != nullptr) live.fetch_sub(1, std::memory_order_relaxed);
    std::free(memory);
#endif
}

}  // namespace

void* operator new(std::size_t bytes) {
    return allocate_or_throw(bytes, 0, __builtin_return_address(0));
}
void* operator new[](std::size_t bytes) {
    return allocate_or_throw(bytes, 0, __builtin_return_address(0));
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
    return allocate_or_throw(bytes, static_cast<std::size_t>(alignment),
                             __builtin_return_address(0));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
    return allocate_or_throw(bytes, static_cast<std::size_t>(alignment),
                             __builtin_return_address(0));
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
    return allocate(bytes, 0, __builtin_return_address(0));
}
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
    return allocate(bytes, 0, __builtin_return_address(0));
}

void operator delete(void* memory) noexcept {
    release(memory);
}
void operator delete[](void* memory) noexcept {
    release(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    release(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
    release(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
    release(memory);
}
void operator delete[](void* memory, std::align_val_t) noexcept {
    release(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
    release(memory);
}
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
    release(memory);
}
