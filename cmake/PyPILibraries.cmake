# oneTBB and OpenBLAS from PyPI packages, found through a Python interpreter. What is built carries
# its own copies of them, so that it needs neither the interpreter nor its environment afterwards.
# Defines TBB::tbb, OpenBLAS::OpenBLAS and install_carried_libraries().

if(NOT Python_Interpreter_FOUND)
  message(FATAL_ERROR
    "GPRAT_LIBRARIES=pypi takes oneTBB and OpenBLAS from the packages of a Python >= 3.11, and none "
    "was found. Pass -DPython_EXECUTABLE=PATH, or -DGPRAT_LIBRARIES=system to use those that are "
    "installed on this system.")
endif()

function(locate_in_python_package output package pattern)
  execute_process(
    COMMAND "${Python_EXECUTABLE}" -c "
import importlib.metadata, pathlib, sys
package, pattern = sys.argv[1:]
try:
    files = importlib.metadata.files(package) or []
except importlib.metadata.PackageNotFoundError:
    files = []
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

# Installs both libraries, with their licences, into a folder of our own.
function(install_carried_libraries destination)
  install(FILES "$<TARGET_FILE:OpenBLAS::OpenBLAS>" DESTINATION ${destination} ${ARGN})
  install(FILES "$<TARGET_FILE:TBB::tbb>" DESTINATION ${destination} ${ARGN}
          RENAME "$<TARGET_SONAME_FILE_NAME:TBB::tbb>")
  install(FILES "${openblas_licence}" DESTINATION ${destination} ${ARGN}
          RENAME LICENSE.openblas.txt)
  install(FILES "${tbb_licence}" DESTINATION ${destination} ${ARGN} RENAME LICENSE.onetbb.txt)
endfunction()
