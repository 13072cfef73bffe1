# Device and precision are values of base/compute.h, which encoder/device.h makes LibTorch's: no condition and no default of host/ spells them out.
#   cmake -DROOT=<repository> -P compute_literals_test.cmake

include(${CMAKE_CURRENT_LIST_DIR}/source_lines.cmake)

# spelled_out(HOST OUT): the lines of HOST that compare with, or start from, a device or precision.
function(spelled_out host out)
  matching_lines(${host} "^(base/compute|encoder/device)\\.cpp$"
    "(==|!=|=|\\() *\"(cpu|fp32)\"|\"(cpu|fp32)\" *(==|!=)|at::kCPU|at::kCUDA"
    found)
  set(${out} "${found}" PARENT_SCOPE)
endfunction()

foreach(line "if (device == \"cpu\") return" "std::string precision = \"fp32\"" "if (\"cpu\" != device) return" "x.to(at::kCPU)" "value_or(\"fp32\")")
  expect(spelled_out "${line}" encoder/encoder.cpp TRUE)
  expect(spelled_out "${line}" base/compute.cpp FALSE)
  expect(spelled_out "${line}" encoder/device.cpp FALSE)
endforeach()
foreach(line "{\"cpu\", at::get_cpu_capability()}" "name(compute.device)" "if (weights == \"f32\") return")
  expect(spelled_out "${line}" encoder/encoder.cpp FALSE)
endforeach()

spelled_out(${ROOT}/host found)
if(NOT found STREQUAL "")
  message(FATAL_ERROR "These lines spell out what base/compute.h has a value for:\n${found}")
endif()
