# The header and the library of one NCCL: of the wheel where NCCL_ROOT says so, though the toolkit has another.
# usage: cmake -P test_find_nccl.cmake
list(APPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR}/../cmake)
cmake_policy(SET CMP0074 NEW)
set(CMAKE_FIND_LIBRARY_PREFIXES lib)
set(CMAKE_FIND_LIBRARY_SUFFIXES .so)
set(folder ${CMAKE_CURRENT_BINARY_DIR}/two_nccl)
set(CUDAToolkit_INCLUDE_DIRS ${folder}/toolkit/include)
set(CUDAToolkit_LIBRARY_DIR ${folder}/toolkit/lib)
set(NCCL_ROOT ${folder}/wheel)
file(WRITE ${folder}/toolkit/include/nccl.h "#define NCCL_MAJOR 2\n#define NCCL_MINOR 20\n#define NCCL_PATCH 1\n")
file(WRITE ${folder}/wheel/include/nccl.h "#define NCCL_MAJOR 2\n#define NCCL_MINOR 30\n#define NCCL_PATCH 7\n")
file(WRITE ${folder}/toolkit/lib/libnccl.so "")
file(WRITE ${folder}/wheel/lib/libnccl.so.2 "")
find_package(NCCL 99 QUIET)  # too new to be found: a script has no targets
if(NOT NCCL_VERSION STREQUAL 2.30.7 OR NOT NCCL_LIBRARY STREQUAL ${folder}/wheel/lib/libnccl.so.2)
  message(FATAL_ERROR "NCCL ${NCCL_VERSION}, ${NCCL_LIBRARY}")
endif()
