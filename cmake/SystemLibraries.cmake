# oneTBB and OpenBLAS as this system has them, or from where CMAKE_PREFIX_PATH points to.
# Defines TBB::tbb and OpenBLAS::OpenBLAS.

find_package(TBB 2021.5 REQUIRED CONFIG COMPONENTS tbb)

# Its own CMake package says where it is, but its target has had several names.
find_library(GPRAT_OPENBLAS_LIBRARY openblas PATH_SUFFIXES openblas-pthread openblas
  DOC "OpenBLAS, built with 32-bit integers and with threads or locks")
if(NOT GPRAT_OPENBLAS_LIBRARY)
  message(FATAL_ERROR
    "OpenBLAS was not found. Install it (Debian: libopenblas-dev), pass "
    "-DGPRAT_OPENBLAS_LIBRARY=PATH, or take that of PyPI: -DGPRAT_LIBRARIES=pypi")
endif()
if(NOT TARGET OpenBLAS::OpenBLAS)
  add_library(OpenBLAS::OpenBLAS UNKNOWN IMPORTED)
  set_target_properties(OpenBLAS::OpenBLAS PROPERTIES
    IMPORTED_LOCATION "${GPRAT_OPENBLAS_LIBRARY}"
    INTERFACE_COMPILE_DEFINITIONS GPRAT_SYSTEM_OPENBLAS)
endif()
