# oneTBB and OpenBLAS come from PyPI packages, found through the interpreter that builds us.
# Defines the imported targets TBB::tbb and OpenBLAS::OpenBLAS.

function(locate_in_python_package output package pattern)
  execute_process(
    COMMAND "${Python_EXECUTABLE}" -c "
import importlib.metadata, pathlib, sys
package, pattern = sys.argv[1:]
files = importlib.metadata.files(package) or []
found = [f for f in files if pathlib.PurePath(f).match(pattern)]
print(found[0].locate().resolve().as_posix() if found else '')" "${package}" "${pattern}"
    OUTPUT_VARIABLE path OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE status)
  if(NOT status EQUAL 0 OR path STREQUAL "")
    message(FATAL_ERROR
      "${pattern} of the Python package ${package} was not found. "
      "Install it for ${Python_EXECUTABLE}: pip install ${package}")
  endif()
  set(${output} "${path}" PARENT_SCOPE)
endfunction()

locate_in_python_package(tbb_config tbb-devel TBBConfig.cmake)
get_filename_component(TBB_DIR "${tbb_config}" DIRECTORY)
find_package(TBB REQUIRED CONFIG COMPONENTS tbb PATHS "${TBB_DIR}" NO_DEFAULT_PATH)

locate_in_python_package(openblas_library scipy-openblas32 libscipy_openblas.*)
if(NOT TARGET OpenBLAS::OpenBLAS)
  add_library(OpenBLAS::OpenBLAS SHARED IMPORTED)
  set_target_properties(OpenBLAS::OpenBLAS PROPERTIES IMPORTED_LOCATION "${openblas_library}")
endif()

locate_in_python_package(tbb_licence tbb-devel LICENSE*)
locate_in_python_package(openblas_licence scipy-openblas32 LICENSE*)
