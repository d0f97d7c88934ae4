# CUDA: decides whether it is on (SIMCLR_CUDA is AUTO, ON or OFF), enables the language, and sets SIMCLR_HAVE_CUDA.
# Where AUTO leaves it off, the configure summary says why; ON fails instead.
set(SIMCLR_HAVE_CUDA FALSE)

macro(simclr_no_cuda reason)
  if(SIMCLR_CUDA STREQUAL "ON")
    message(FATAL_ERROR "SIMCLR_CUDA=ON, but ${reason}")
  endif()
  simclr_summary("CUDA" "off: ${reason}")
endmacro()

if(SIMCLR_CUDA STREQUAL "OFF")
  simclr_summary("CUDA" "off by SIMCLR_CUDA")
  return()
endif()

find_package(CUDAToolkit QUIET)
if(NOT CUDAToolkit_FOUND OR NOT CUDAToolkit_NVCC_EXECUTABLE)
  simclr_no_cuda("no CUDA Toolkit with nvcc was found (put nvcc on the PATH or set CUDAToolkit_ROOT)")
  return()
endif()
if(CUDAToolkit_VERSION VERSION_LESS 12.4)
  simclr_no_cuda("CUDA Toolkit ${CUDAToolkit_VERSION} is too old (13 is supported, 12.4 is the least that could do)")
  return()
endif()
find_package(CUDNN 9 QUIET)
if(NOT CUDNN_FOUND)
  simclr_no_cuda("cuDNN 9 was not found (install it beside the CUDA Toolkit or set CUDNN_ROOT)")
  return()
endif()

if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80 90)  # before the language: CMake would choose an old one
endif()
if(NOT CMAKE_CUDA_COMPILER)
  set(CMAKE_CUDA_COMPILER ${CUDAToolkit_NVCC_EXECUTABLE})
endif()
if(NOT CMAKE_CUDA_COMPILER_LAUNCHER)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${simclr_launcher})
endif()
enable_language(CUDA)
set(SIMCLR_HAVE_CUDA TRUE)
simclr_link(CUDAToolkit ${CUDAToolkit_VERSION_MAJOR} TARGETS CUDA::cudart_static CUDA::cublas ${CMAKE_DL_LIBS})
simclr_link(CUDNN 9 TARGETS CUDNN::cudnn)
list(APPEND SIMCLR_DEVICES CUDA)
string(REPLACE ";" ", sm_" architectures "${CMAKE_CUDA_ARCHITECTURES}")
simclr_summary("CUDA" "${CUDAToolkit_VERSION}, cuDNN ${CUDNN_VERSION}, for sm_${architectures}")

# Of a library of its own, libsimclr_nccl.so.
if(SIMCLR_NCCL STREQUAL "OFF")
  simclr_summary("NCCL" "off by SIMCLR_NCCL: several processes train on the CPU alone")
else()
  find_package(NCCL 2.14)  # the first that says what has gone wrong
  if(NCCL_FOUND)
    simclr_summary("NCCL" "${NCCL_VERSION}, ${NCCL_LIBRARY}")
  elseif(SIMCLR_NCCL STREQUAL "ON")
    message(FATAL_ERROR "SIMCLR_NCCL=ON, but NCCL was not found (NVIDIA: libnccl-dev, PyPI: "
                        "nvidia-nccl-cu${CUDAToolkit_VERSION_MAJOR}, whose folder nvidia/nccl is NCCL_ROOT)")
  else()
    simclr_summary("NCCL" "not found (NVIDIA: libnccl-dev, PyPI: nvidia-nccl-cu${CUDAToolkit_VERSION_MAJOR}, whose \
folder nvidia/nccl is NCCL_ROOT): several processes train on the CPU alone")
  endif()
endif()
