# Compiles each header of INCLUDE alone with COMPILER (a g++ or clang++): .h as C11 and C17, and
# everything as C++17 and C++20. A header is included twice, so that its guard is tested too.
file(GLOB_RECURSE headers RELATIVE ${INCLUDE} ${INCLUDE}/*.h ${INCLUDE}/*.hpp)
list(REMOVE_ITEM headers moecollab/torch_expert.hpp)  # needs LibTorch; tests/torch compiles it
list(LENGTH headers count)
if(count LESS 10)
  message(FATAL_ERROR "only ${count} headers under ${INCLUDE}")
endif()
set(compiled 0)
foreach(header IN LISTS headers)
  set(standards c++17 c++20)
  if(header MATCHES "\\.h$")
    list(APPEND standards c11 c17)
  endif()
  foreach(standard IN LISTS standards)
    set(language c++)
    if(NOT standard MATCHES "^c\\+\\+")
      set(language c)
    endif()
    execute_process(
      COMMAND ${CMAKE_COMMAND} -E echo "#include <${header}>\n#include <${header}>\n"
      COMMAND ${COMPILER} -x ${language} -std=${standard} -Wall -Wextra -Wpedantic -Werror -fsyntax-only
              -I${INCLUDE} -
      RESULTS_VARIABLE results ERROR_VARIABLE errors)
    if(NOT results STREQUAL "0;0")
      message(SEND_ERROR "${header} as ${standard}: ${errors}")
    endif()
    math(EXPR compiled "${compiled} + 1")
  endforeach()
endforeach()
message(STATUS "${compiled} compilations of ${count} headers")
