# Libraries print nothing and ask no global flag: messages, progress and stops go through the RunContext
# that they are given. Only cli and app know the terminal and the signals.
#   cmake -DROOT=<repository> -P silence_test.cmake

include(${CMAKE_CURRENT_LIST_DIR}/source_lines.cmake)

# past_context(HOST OUT): the lines of HOST's stages, other than cli and app, that go past it.
function(past_context host out)
  matching_lines(${host} "^(cli|app)/"
    "fmt::print|std::(cout|cerr|clog)|[^a-z_]f?printf *\\(|[^a-z_]f?puts *\\(|perror *\\(|[(,] *(stdout|stderr)[^a-z_]|print_(note|warning)|stop_requested *\\("
    found)
  set(${out} "${found}" PARENT_SCOPE)
endfunction()

foreach(line "fmt::print(stderr, text)" "std::cerr << text" "fprintf(stderr, text)" "std::fwrite(data, 1, n, stdout)" "printf (text)"
    "puts(text)" "print_note(text)" "if (stop_requested())")
  expect(past_context "${line}" training/learner.cpp TRUE)
  expect(past_context "${line}" base/files.h TRUE)
  expect(past_context "${line}" cli/console.cpp FALSE)
endforeach()
foreach(line "context.log.note(text)" "std::snprintf(text, n, format)" "context.stop.requested()" "outputs(rows)")
  expect(past_context "${line}" training/learner.cpp FALSE)
endforeach()

past_context(${ROOT}/host found)
if(NOT found STREQUAL "")
  message(FATAL_ERROR "These lines go past the RunContext (host/base/run_context.h):\n${found}")
endif()
