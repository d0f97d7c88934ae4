# The documents' code as tests. A fenced block below the comment
#   <!-- snippet: NAME -->       is a whole program: snippets/NAME.cpp in the build folder;
#   <!-- snippet: NAME/PATH -->  is a file that the guide to NAME adds to the project: snippets/NAME/PATH. Where the
#                                project has it already, the block is appended to a copy of it.
set(snippets ${CMAKE_CURRENT_BINARY_DIR}/snippets)

# Adds the program snippet_NAME. Further arguments are libraries.
function(simclr_add_snippet name source)
  add_executable(snippet_${name} ${source})
  target_link_libraries(snippet_${name} PRIVATE ${ARGN} simclr::simclr simclr_build_flags)
endfunction()

# Writes the marked blocks of `document` to files and adds the whole programs. A cpp block without a mark is an error.
function(simclr_extract_snippets document)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${document})
  file(READ ${document} rest)
  while(rest MATCHES "(<!-- snippet: ([^ ]+) -->\n)?```(cpp|cmake)\n")
    set(opening "${CMAKE_MATCH_0}")
    set(name "${CMAKE_MATCH_2}")
    if(name STREQUAL "" AND CMAKE_MATCH_3 STREQUAL "cpp")
      message(FATAL_ERROR "${document}: a cpp block without <!-- snippet: NAME --> above it would not be compiled")
    endif()
    string(FIND "${rest}" "${opening}" begin)
    string(LENGTH "${opening}" length)
    math(EXPR begin "${begin} + ${length}")
    string(SUBSTRING "${rest}" ${begin} -1 rest)
    string(FIND "${rest}" "```\n" end)
    string(SUBSTRING "${rest}" 0 ${end} code)
    math(EXPR end "${end} + 4")
    string(SUBSTRING "${rest}" ${end} -1 rest)
    if(name STREQUAL "")
      continue()
    endif()

    if(name MATCHES "^[^/]+/(.+)$")
      set(original ${PROJECT_SOURCE_DIR}/${CMAKE_MATCH_1})
      if(EXISTS ${original})
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${original})
        file(READ ${original} before)
        string(PREPEND code "${before}\n")
      endif()
    else()
      string(APPEND name .cpp)
    endif()
    file(WRITE ${snippets}/new "${code}")
    cmake_path(GET name PARENT_PATH folder)
    file(MAKE_DIRECTORY ${snippets}/${folder})
    file(COPY_FILE ${snippets}/new ${snippets}/${name} ONLY_IF_DIFFERENT)
    file(REMOVE ${snippets}/new)
    if(NOT name MATCHES /)
      cmake_path(GET name STEM program)
      simclr_add_snippet(${program} ${snippets}/${name})
    endif()
  endwhile()
endfunction()

# Adds the test snippet_NAME: the program must succeed and print what the regular expression (Python's) fully matches.
function(simclr_test_snippet name output)
  if(Python3_FOUND)
    add_test(NAME snippet_${name} COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tests/support/run_snippet.py
             $<TARGET_FILE:snippet_${name}> "${output}")
    set_tests_properties(snippet_${name} PROPERTIES LABELS unit TIMEOUT 600)
  endif()
endfunction()

# Adds the library snippet_op_NAME: the op that snippets/NAME adds to the project, by its own line of simclr_add_op().
function(simclr_add_snippet_op name)
  set(root ${snippets}/${name})
  file(MAKE_DIRECTORY ${root}/include)
  file(CREATE_LINK ${root} ${root}/include/simclr SYMBOLIC)  # <simclr/...> finds the snippets first
  get_target_property(before simclr SOURCES)
  set(PROJECT_SOURCE_DIR ${root})
  set(PROJECT_BINARY_DIR ${root})
  include(${root}/op.cmake)
  get_target_property(sources simclr SOURCES)
  set_property(TARGET simclr PROPERTY SOURCES ${before})  # simclr_add_op() knows no other target
  list(REMOVE_ITEM sources ${before})
  add_library(snippet_op_${name} STATIC ${sources} ${root}/nn/functional.cpp)
  target_include_directories(snippet_op_${name} BEFORE PUBLIC ${root}/include)
  target_link_libraries(snippet_op_${name} PUBLIC simclr::simclr PRIVATE simclr_build_flags)
endfunction()
