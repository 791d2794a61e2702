#include "gprat/covariance/dispatch.hpp"

#include <algorithm>
#include <atomic>

namespace gprat::covariance {

namespace {

InstructionSet best_instruction_set() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return InstructionSet::baseline;
    const bool has_avx512 =
        __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
    return has_avx512 ? InstructionSet::avx512 : InstructionSet::avx2;
#else
    return InstructionSet::baseline;
#endif
}

std::atomic<InstructionSet>& in_use() {
    static std::atomic<InstructionSet> value{best_instruction_set()};
    return value;
}

}  // namespace

InstructionSet instruction_set() {
    return in_use().load(std::memory_order_relaxed);
}

void limit_instruction_set(InstructionSet best) {
    in_use() = std::min(best, best_instruction_set());
}

}  // namespace gprat::covariance
