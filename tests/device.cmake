# The kernels of a GPU, one program an op, run on the emulated device (label: emu) and on CUDA (label: cuda), where the
# build has them. Without a GPU the latter count as skipped.
file(GLOB device_tests CONFIGURE_DEPENDS device/test_*.cpp)
if(SIMCLR_SANITIZE)
  list(FILTER device_tests EXCLUDE REGEX test_memory)  # counts bytes of a whole network's step: too slow there
endif()
set(executed ${CMAKE_CURRENT_BINARY_DIR}/executed_kernels)
file(MAKE_DIRECTORY ${executed})
foreach(source IN LISTS device_tests)
  get_filename_component(test ${source} NAME_WE)
  string(REPLACE test_ "" op ${test})
  if(SIMCLR_EMU OR SIMCLR_HAVE_CUDA)
    add_executable(device_${op} ${source})
    target_link_libraries(device_${op} PRIVATE simclr_test_support)
  endif()
  if(SIMCLR_EMU)
    target_compile_definitions(device_${op} PRIVATE SIMCLR_EMU_CHECKS)
    add_test(NAME emu_${op} COMMAND device_${op})
    set_tests_properties(emu_${op} PROPERTIES LABELS emu TIMEOUT 900 FIXTURES_SETUP emu_kernels
                         ENVIRONMENT "SIMCLR_TEST_DEVICE=emu;SIMCLR_EMU_EXECUTED=${executed}/${op}.txt")
  endif()
  if(SIMCLR_HAVE_CUDA)
    add_test(NAME cuda_${op} COMMAND device_${op})
    set_tests_properties(cuda_${op} PROPERTIES LABELS cuda TIMEOUT 900 SKIP_RETURN_CODE 77 RUN_SERIAL TRUE
                         ENVIRONMENT SIMCLR_TEST_DEVICE=cuda)
  endif()
endforeach()

# NT-Xent's tiles for sm_90a pass the tests of the others.
if(SIMCLR_EMU)
  add_test(NAME emu_nt_xent_sm90 COMMAND device_nt_xent)
  set_tests_properties(emu_nt_xent_sm90 PROPERTIES LABELS emu TIMEOUT 900 FIXTURES_SETUP emu_kernels ENVIRONMENT
                       "SIMCLR_TEST_DEVICE=emu;SIMCLR_TEST_WGMMA=1;SIMCLR_EMU_EXECUTED=${executed}/nt_xent_sm90.txt")
endif()
if(SIMCLR_HAVE_CUDA AND TARGET simclr_nt_xent_sm90)
  add_test(NAME cuda_nt_xent_sm90 COMMAND device_nt_xent)
  set_tests_properties(cuda_nt_xent_sm90 PROPERTIES LABELS cuda TIMEOUT 40 SKIP_RETURN_CODE 77 RUN_SERIAL TRUE
                       SKIP_REGULAR_EXPRESSION "kernels that run on sm_90 alone"  # as the op says on another GPU
                       ENVIRONMENT "SIMCLR_TEST_DEVICE=cuda;SIMCLR_TEST_WGMMA=1")
endif()

if(SIMCLR_HAVE_CUDA)
  add_test(NAME cuda_fault COMMAND device_runtime [fault])
  set_tests_properties(cuda_fault PROPERTIES LABELS cuda TIMEOUT 60 SKIP_RETURN_CODE 77 RUN_SERIAL TRUE
                       ENVIRONMENT SIMCLR_TEST_DEVICE=cuda)
endif()

if(SIMCLR_EMU AND Python3_FOUND)
  set(schedules forward backward random)
  if(SIMCLR_SANITIZE)
    set(schedules forward)  # see support/device.h
  endif()
  add_test(NAME emu_all_kernels COMMAND Python3::Interpreter ${tests_source}/test_kernels_executed.py
           ${PROJECT_SOURCE_DIR}/kernels ${executed} ${schedules})
  set_tests_properties(emu_all_kernels PROPERTIES LABELS emu FIXTURES_REQUIRED emu_kernels)
endif()

# The emulated device itself.
if(SIMCLR_EMU)
  foreach(test test_emulator test_streams test_warpgroup)
    add_executable(${test} emu/${test}.cpp)
    target_link_libraries(${test} PRIVATE simclr_test_support)
    target_compile_options(${test} PRIVATE -Wno-unknown-pragmas -Wno-conversion)
    add_test(NAME ${test} COMMAND ${test})
    set_tests_properties(${test} PROPERTIES LABELS emu TIMEOUT 300)
  endforeach()

  # And what it says of the shipped kernels with one line changed.
  include(SimclrFaults)
  add_executable(test_faults emu/test_faults.cpp)
  target_link_libraries(test_faults PRIVATE simclr_test_support)
  simclr_plant_fault(test_faults missing_syncthreads elementwise "  __syncthreads();" "" NEAR "bias_partial_kernel")
  simclr_plant_fault(test_faults divergent_barrier elementwise "  __syncthreads();" "  if (warp != 3) __syncthreads();"
                     NEAR "bias_partial_kernel")
  simclr_plant_fault(test_faults global_out_of_bounds elementwise "dbias[c] =" "dbias[c + 1] =")
  simclr_plant_fault(test_faults shared_out_of_bounds elementwise "sums[warp][lane] =" "sums[warp + 1][lane] =")
  simclr_plant_fault(test_faults uninitialised_shared elementwise "sums[warp][lane] =" "if (warp != 1) sums[warp][lane] =")
  simclr_plant_fault(test_faults missing_syncwarp nt_xent "  __syncwarp();" "" NEAR "du[d + k] +="
                     IN kernels/cuda/nt_xent_rows.h WITH kernels/cuda/nt_xent_sm90.cu)
  simclr_plant_fault(test_faults early_release nt_xent "    warpgroup_wait<0>();\n    loads_before_copies();\n    block.release(t);"
                     "    loads_before_copies();\n    block.release(t);\n    warpgroup_wait<0>();" IN kernels/cuda/nt_xent_sm90.cu
                     WITH kernels/cuda/nt_xent_sm90.cu)
  add_test(NAME test_faults COMMAND test_faults)
  set_tests_properties(test_faults PROPERTIES LABELS emu TIMEOUT 300)
endif()
