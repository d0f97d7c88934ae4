# The kernels' PTX as nvcc writes it, executed by the interpreter in ptx/ and compared with references in double: needs
# nvcc and no GPU. Labels: unit, cuda.
if(NOT SIMCLR_HAVE_CUDA OR NOT Python3_FOUND)
  return()
endif()
set(ptx_folder ${PROJECT_BINARY_DIR}/ptx)
add_custom_target(simclr_ptx ALL
  COMMAND Python3::Interpreter ${CMAKE_CURRENT_LIST_DIR}/ptx/compile_ptx.py ${PROJECT_BINARY_DIR}/compile_commands.json
          ${ptx_folder}
  COMMENT "PTX of the kernels, where they have changed" VERBATIM)
foreach(architecture sm_80 sm_90a)
  set(name test_ptx)
  if(architecture STREQUAL sm_90a)
    if(NOT TARGET simclr_nt_xent_sm90)
      continue()
    endif()
    set(name test_ptx_sm90)
  endif()
  add_test(NAME ${name} COMMAND Python3::Interpreter ${CMAKE_CURRENT_LIST_DIR}/test_ptx.py
           ${PROJECT_BINARY_DIR}/compile_commands.json ${ptx_folder} ${architecture})
  set_tests_properties(${name} PROPERTIES LABELS "unit;cuda" TIMEOUT 900 SKIP_RETURN_CODE 77 RESOURCE_LOCK ptx)
endforeach()
add_test(NAME test_ptx_interpreter COMMAND Python3::Interpreter ${CMAKE_CURRENT_LIST_DIR}/test_ptx_interpreter.py
         ${PROJECT_BINARY_DIR}/compile_commands.json ${ptx_folder})
set_tests_properties(test_ptx_interpreter PROPERTIES LABELS "unit;cuda" TIMEOUT 300 SKIP_RETURN_CODE 77 RESOURCE_LOCK ptx)
