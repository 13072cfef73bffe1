# Device and precision are values of base/compute.h: no condition and no default of host/ spells them out.
#   cmake -DROOT=<repository> -P compute_literals_test.cmake

# spelled_out(HOST OUT): the lines of HOST that compare with, or start from, a device or precision.
function(spelled_out host out)
  set(found "")
  file(GLOB_RECURSE files RELATIVE ${host} ${host}/*.h ${host}/*.cpp)
  list(REMOVE_ITEM files base/compute.cpp)
  foreach(file IN LISTS files)
    file(STRINGS ${host}/${file} lines REGEX "(==|!=|=|\\() *\"(cpu|fp32)\"|\"(cpu|fp32)\" *(==|!=)|at::kCPU|at::kCUDA")
    foreach(line IN LISTS lines)
      string(APPEND found "${file}: ${line}\n")
    endforeach()
  endforeach()
  set(${out} "${found}" PARENT_SCOPE)
endfunction()

# expect(LINE FILE FOUND): whether that line in that file of a tree is found.
function(expect line file expected)
  string(RANDOM LENGTH 12 suffix)
  set(tree ${CMAKE_CURRENT_BINARY_DIR}/moecollab-literals-${suffix})
  file(WRITE ${tree}/${file} "int before();\n  ${line}\nint after();\n")
  spelled_out(${tree} found)
  file(REMOVE_RECURSE ${tree})
  if(expected AND found STREQUAL "" OR NOT expected AND NOT found STREQUAL "")
    message(FATAL_ERROR "'${line}' in ${file}: expected ${expected}, found '${found}'")
  endif()
endfunction()

foreach(line "if (device == \"cpu\") return" "std::string precision = \"fp32\"" "if (\"cpu\" != device) return" "x.to(at::kCPU)" "value_or(\"fp32\")")
  expect("${line}" encoder/encoder.cpp TRUE)
  expect("${line}" base/compute.cpp FALSE)
endforeach()
foreach(line "{\"cpu\", at::get_cpu_capability()}" "name(compute.device)" "if (weights == \"f32\") return")
  expect("${line}" encoder/encoder.cpp FALSE)
endforeach()

spelled_out(${ROOT}/host found)
if(NOT found STREQUAL "")
  message(FATAL_ERROR "These lines spell out what base/compute.h has a value for:\n${found}")
endif()
