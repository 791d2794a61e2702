# Flags that turn many a memory error into an immediate stop, and make others harder to exploit. They cost
# no time that can be measured: checks stand where functions begin and end, and in calls of libc.
#
# harden(TARGET) applies them. It does nothing for other compilers than GCC and Clang.

option(GPRAT_HARDENING "Compile and link with hardening flags (GCC and Clang)" ON)

include(CheckCXXCompilerFlag)

set(hardening_flags "")
foreach(flag IN ITEMS -fstack-protector-strong -fstack-clash-protection
        -fcf-protection=full -mbranch-protection=standard)
  string(MAKE_C_IDENTIFIER "GPRAT_HAS${flag}" has)
  check_cxx_compiler_flag(${flag} ${has})
  if(${has})
    list(APPEND hardening_flags ${flag})
  endif()
endforeach()

# Calls of libc that know how much room there is. That needs an optimising compiler, level 3 needs GCC 12;
# sanitizers watch the plain calls.
set(fortify_level 3)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 12)
  set(fortify_level 2)
endif()
if(NOT GPRAT_SANITIZE)
  set(is_optimised $<NOT:$<CONFIG:Debug>>)
  list(APPEND hardening_flags
    $<${is_optimised}:-U_FORTIFY_SOURCE> $<${is_optimised}:-D_FORTIFY_SOURCE=${fortify_level}>)
endif()

function(harden target)
  if(NOT GPRAT_HARDENING OR NOT CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
    return()
  endif()
  target_compile_options(${target} PRIVATE ${hardening_flags})
  get_target_property(type ${target} TYPE)
  if(CMAKE_SYSTEM_NAME STREQUAL "Linux" AND type MATCHES "SHARED_LIBRARY|MODULE_LIBRARY")
    # All addresses are resolved when the library is loaded, and are read-only from then on.
    target_link_options(${target} PRIVATE "LINKER:-z,relro,-z,now,-z,noexecstack")
  endif()
endfunction()
