# Finds matgrad's C++ API: the target matgrad::matgrad, and matgrad::lapack if the component lapack is asked for.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
include("${CMAKE_CURRENT_LIST_DIR}/matgradTargets.cmake")

if("lapack" IN_LIST matgrad_FIND_COMPONENTS)
  find_package(LAPACK QUIET)
  set(matgrad_lapack_FOUND ${LAPACK_FOUND})
  if(LAPACK_FOUND AND NOT TARGET matgrad::lapack)
    # One more source of the program that links this, which takes LAPACK's functions before main.
    add_library(matgrad::lapack INTERFACE IMPORTED)
    target_sources(matgrad::lapack INTERFACE "${CMAKE_CURRENT_LIST_DIR}/lapack.cpp")
    target_link_libraries(matgrad::lapack INTERFACE matgrad::matgrad LAPACK::LAPACK)
  endif()
endif()

foreach(component IN LISTS matgrad_FIND_COMPONENTS)
  if(matgrad_FIND_REQUIRED_${component} AND NOT matgrad_${component}_FOUND)
    set(matgrad_FOUND FALSE)
    set(matgrad_NOT_FOUND_MESSAGE "its component ${component} is not there; lapack, the only one, is where CMake finds LAPACK")
  endif()
endforeach()
