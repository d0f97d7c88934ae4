# What the package's tests compare it with, beside the package in the build tree.
add_executable(python_view_tool tests/view_tool.cpp)
set_target_properties(python_view_tool PROPERTIES OUTPUT_NAME view_tool)
target_link_libraries(python_view_tool PRIVATE simclr::simclr simclr_build_flags)
