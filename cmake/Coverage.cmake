# Which lines ran, for gcov: `make coverage`.

option(GPRAT_COVERAGE "Count how often each line of C++ runs (GCC)" OFF)

# Lines and instructions correspond only where little is optimised.
set(gprat_optimisation $<IF:$<BOOL:${GPRAT_COVERAGE}>,-O1,-O3>)
if(GPRAT_COVERAGE)
  # Several threads count at a time.
  add_compile_options(--coverage -fprofile-update=atomic)
  add_link_options(--coverage)
endif()
