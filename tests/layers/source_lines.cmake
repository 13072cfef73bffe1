# Rules over the source text of host/, for the tests beside this file.

# matching_lines(HOST EXEMPT PATTERN OUT): "FILE: LINE" of each line of HOST's sources that matches, but for
# files whose path in HOST matches EXEMPT.
function(matching_lines host exempt pattern out)
  set(found "")
  file(GLOB_RECURSE files RELATIVE ${host} ${host}/*.h ${host}/*.cpp)
  list(FILTER files EXCLUDE REGEX "${exempt}")
  foreach(file IN LISTS files)
    file(STRINGS ${host}/${file} lines REGEX "${pattern}")
    foreach(line IN LISTS lines)
      string(APPEND found "${file}: ${line}\n")
    endforeach()
  endforeach()
  set(${out} "${found}" PARENT_SCOPE)
endfunction()

# expect(RULE LINE FILE FOUND): whether the rule, a function (HOST OUT), finds that line in that file of a tree.
function(expect rule line file expected)
  string(RANDOM LENGTH 12 suffix)
  set(tree ${CMAKE_CURRENT_BINARY_DIR}/moecollab-${rule}-${suffix})
  file(WRITE ${tree}/${file} "int before();\n  ${line}\nint after();\n")
  cmake_language(CALL ${rule} ${tree} found)
  file(REMOVE_RECURSE ${tree})
  if(expected AND found STREQUAL "" OR NOT expected AND NOT found STREQUAL "")
    message(FATAL_ERROR "'${line}' in ${file}: expected ${expected}, found '${found}'")
  endif()
endfunction()
