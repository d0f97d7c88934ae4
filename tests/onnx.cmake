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

# The C++ program of docs/onnx.md, where ONNX Runtime's headers are: Debian 12 has none.
find_path(SIMCLR_ONNXRUNTIME_INCLUDE_DIR onnxruntime_cxx_api.h PATH_SUFFIXES onnxruntime)
find_library(SIMCLR_ONNXRUNTIME_LIBRARY onnxruntime)
mark_as_advanced(SIMCLR_ONNXRUNTIME_INCLUDE_DIR SIMCLR_ONNXRUNTIME_LIBRARY)
if(SIMCLR_ONNXRUNTIME_INCLUDE_DIR AND SIMCLR_ONNXRUNTIME_LIBRARY)
  add_executable(snippet_onnx ${snippets}/onnx/features.cpp)
  target_compile_features(snippet_onnx PRIVATE cxx_std_20)
  target_include_directories(snippet_onnx SYSTEM PRIVATE ${SIMCLR_ONNXRUNTIME_INCLUDE_DIR})
  target_link_libraries(snippet_onnx PRIVATE ${SIMCLR_ONNXRUNTIME_LIBRARY})
else()
  message(STATUS "docs/onnx.md: its C++ program is not compiled: there is no onnxruntime_cxx_api.h")
endif()
