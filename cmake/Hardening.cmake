# Flags that turn a memory error into an immediate stop, and that make one harder to exploit. Those that
# remain cost no time that can be measured: checks are in prologues of functions and in calls of libc.
# Defines harden(TARGET), which does nothing for other compilers than GCC and Clang.

option(GPRAT_HARDENING "Compile and link with hardening flags (GCC and Clang)" ON)
include(CheckCXXCompilerFlag)

if(GPRAT_HARDENING AND CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    set(gprat_branch_protection -fcf-protection=full)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    set(gprat_branch_protection -mbranch-protection=standard)
  endif()
  set(gprat_hardening_flags "")
  foreach(flag IN ITEMS -fstack-protector-strong -fstack-clash-protection ${gprat_branch_protection})
    string(MAKE_C_IDENTIFIER "gprat_has${flag}" has)
    check_cxx_compiler_flag(${flag} ${has})
    if(${has})
      list(APPEND gprat_hardening_flags ${flag})
    endif()
  endforeach()
  # Fortified calls need an optimising compiler. Level 3 is of GCC 12 and Clang 9.
  set(fortify 3)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 12)
    set(fortify 2)
  endif()
  list(APPEND gprat_hardening_flags
    "$<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=${fortify}>")
endif()

function(harden target)
  if(NOT GPRAT_HARDENING OR NOT CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
    return()
  endif()
  target_compile_options(${target} PRIVATE ${gprat_hardening_flags})
  get_target_property(type ${target} TYPE)
  if(NOT type STREQUAL "STATIC_LIBRARY" AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
    # All addresses are resolved when the library is loaded, and read-only from then on.
    target_link_options(${target} PRIVATE "LINKER:-z,relro,-z,now,-z,noexecstack")
  endif()
endfunction()
