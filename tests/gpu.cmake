# A day on a GPU (scripts/gpu_day, gpu_check and bundle_deps), with stand-ins for all that it calls. Label: unit.
if(Python3_FOUND)
  foreach(test gpu_day gpu_check bundle_deps)
    add_test(NAME test_${test} COMMAND Python3::Interpreter ${tests_source}/test_${test}.py)
    set_tests_properties(test_${test} PROPERTIES LABELS unit TIMEOUT 300)
  endforeach()
endif()
