# Encoders as ONNX files, judged by the packages onnx and onnxruntime. Label: unit.
add_executable(onnx_tool support/onnx_tool.cpp)
target_link_libraries(onnx_tool PRIVATE simclr::simclr simclr_build_flags)
if(Python3_FOUND)
  add_test(NAME test_onnx_encoders COMMAND Python3::Interpreter ${tests_source}/test_onnx.py)
  set_tests_properties(test_onnx_encoders PROPERTIES LABELS unit TIMEOUT 1200 SKIP_RETURN_CODE 77 ENVIRONMENT
                       ONNX_TOOL=$<TARGET_FILE:onnx_tool>)
endif()
if(Python3_FOUND AND TARGET export_onnx)
  add_executable(view_tool support/view_tool.cpp)
  target_link_libraries(view_tool PRIVATE simclr_examples)
  add_test(NAME test_onnx_programs COMMAND Python3::Interpreter ${tests_source}/test_onnx_programs.py)
  set_tests_properties(test_onnx_programs PROPERTIES LABELS unit TIMEOUT 1200 SKIP_RETURN_CODE 77 ENVIRONMENT
                       "PROGRAMS=$<TARGET_FILE_DIR:export_onnx>;VIEW_TOOL=$<TARGET_FILE:view_tool>")
endif()
