# Libraries print nothing and ask no global flag: messages, progress and stops go through the RunContext
# that they are given. Only cli and app know the terminal and the signals.
#   cmake -DROOT=<repository> -P silence_test.cmake

# past_context(HOST OUT): the lines of HOST's stages, other than cli and app, that go past it.
function(past_context host out)
  set(found "")
  file(GLOB_RECURSE files RELATIVE ${host} ${host}/*.h ${host}/*.cpp)
  list(FILTER files EXCLUDE REGEX "^(cli|app)/")
  foreach(file IN LISTS files)
    file(STRINGS ${host}/${file} lines REGEX
      "fmt::print|std::(cout|cerr|clog)|[^a-z_]f?printf *\\(|[^a-z_]f?puts *\\(|perror *\\(|[(,] *(stdout|stderr)[^a-z_]|print_(note|warning)|stop_requested *\\(")
    foreach(line IN LISTS lines)
      string(APPEND found "${file}: ${line}\n")
    endforeach()
  endforeach()
  set(${out} "${found}" PARENT_SCOPE)
endfunction()

# expect(LINE FILE FOUND): whether that line in that file of a tree is found.
function(expect line file expected)
  string(RANDOM LENGTH 12 suffix)
  set(tree ${CMAKE_CURRENT_BINARY_DIR}/moecollab-silence-${suffix})
  file(WRITE ${tree}/${file} "int before();\n  ${line}\nint after();\n")
  past_context(${tree} found)
  file(REMOVE_RECURSE ${tree})
  if(expected AND found STREQUAL "" OR NOT expected AND NOT found STREQUAL "")
    message(FATAL_ERROR "'${line}' in ${file}: expected ${expected}, found '${found}'")
  endif()
endfunction()

foreach(line "fmt::print(stderr, text)" "std::cerr << text" "fprintf(stderr, text)" "std::fwrite(data, 1, n, stdout)" "printf (text)"
    "puts(text)" "print_note(text)" "if (stop_requested())")
  expect("${line}" training/learner.cpp TRUE)
  expect("${line}" base/files.h TRUE)
  expect("${line}" cli/console.cpp FALSE)
endforeach()
foreach(line "context.log.note(text)" "std::snprintf(text, n, format)" "context.stop.requested()" "outputs(rows)")
  expect("${line}" training/learner.cpp FALSE)
endforeach()

past_context(${ROOT}/host found)
if(NOT found STREQUAL "")
  message(FATAL_ERROR "These lines go past the RunContext (host/base/run_context.h):\n${found}")
endif()
