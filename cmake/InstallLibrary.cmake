# The library for C++ programs: libgprat, its headers, and a CMake package with gprat::gprat.
#
# It is shared, since there is one runtime a process however many parts of a program use it, and so
# that oneTBB and OpenBLAS are found by it and not by programs: those of PyPI lie in a folder beside
# it, those of the system where they are.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

add_library(gprat SHARED $<TARGET_OBJECTS:gprat_objects>)
add_library(gprat::gprat ALIAS gprat)
target_include_directories(gprat INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/core/include>
  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_features(gprat INTERFACE cxx_std_20)
target_link_libraries(gprat PRIVATE $<BUILD_INTERFACE:TBB::tbb> $<BUILD_INTERFACE:OpenBLAS::OpenBLAS>)
harden(gprat)
set_target_properties(gprat PROPERTIES
  VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
if(GPRAT_LIBRARIES STREQUAL "pypi")
  set_target_properties(gprat PROPERTIES INSTALL_RPATH "$ORIGIN/gprat")
  install_carried_libraries(${CMAKE_INSTALL_LIBDIR}/gprat COMPONENT cpp)
else()
  set_target_properties(gprat PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
endif()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/gprat)
install(TARGETS gprat EXPORT gpratTargets DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT cpp)
install(EXPORT gpratTargets NAMESPACE gprat:: DESTINATION ${package_dir} COMPONENT cpp)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/licenses/gprat COMPONENT cpp)
# Not those that nothing public includes.
install(DIRECTORY core/include/gprat DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT cpp
  REGEX "/calibration$" EXCLUDE
  REGEX "/covariance/(block_.*|dispatch|pair_math|stationary|vector_math|warp)\\.hpp$" EXCLUDE
  REGEX "/tasks/(floating_point_mode|ready_queue|worker_pool)\\.hpp$" EXCLUDE)

configure_package_config_file(cmake/gpratConfig.cmake.in gpratConfig.cmake
  INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(gpratConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/gpratConfig.cmake"
              "${CMAKE_CURRENT_BINARY_DIR}/gpratConfigVersion.cmake"
        DESTINATION ${package_dir} COMPONENT cpp)
