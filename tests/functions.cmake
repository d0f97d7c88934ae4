# Of the differentiable functions: loops that are compiled for several instruction sets, each of which passes its tests,
# and the loss of docs/your-own-loss.md, which a test includes.
if(NOT SIMCLR_NATIVE)
  foreach(isa baseline avx2)
    foreach(test test_unary test_softmax)
      add_test(NAME ${test}_${isa} COMMAND ${test})
      set_tests_properties(${test}_${isa} PROPERTIES LABELS unit TIMEOUT 1200 ENVIRONMENT SIMCLR_INSTRUCTION_SET=${isa}
                           SKIP_REGULAR_EXPRESSION "this processor has only")
    endforeach()
  endforeach()
endif()
target_include_directories(test_own_loss PRIVATE ${snippets})
