# Compiler set-up shared by the whole tree: ccache and a fast linker if present, warnings, sanitizers.

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  # Files that use a precompiled header are cached only if ccache may trust its digest.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
  add_compile_options($<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fpch-preprocess>)
endif()
# Earlier versions link programs that may not start (findings/mold_relro_tbss.sh).
set(MOECOLLAB_LEAST_MOLD 2.4)
find_program(MOLD mold)
if(MOLD)
  execute_process(COMMAND ${MOLD} --version OUTPUT_VARIABLE mold_version OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(mold_version MATCHES "^mold ([0-9.]+)" AND CMAKE_MATCH_1 VERSION_GREATER_EQUAL MOECOLLAB_LEAST_MOLD)
    add_link_options(-fuse-ld=mold)
  else()
    message(STATUS "${mold_version} is older than ${MOECOLLAB_LEAST_MOLD}: the compiler's own linker is used")
  endif()
endif()

if(MOECOLLAB_SANITIZE)
  add_compile_options(-fsanitize=${MOECOLLAB_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${MOECOLLAB_SANITIZE})
  if(MOECOLLAB_SANITIZE MATCHES "address")
    add_compile_definitions(MOECOLLAB_UNDER_ASAN)
  endif()
  # Plugins are linked with all they need (-z defs): Clang's run-time library has to be a shared one, as GCC's
  # is. A program says where it lies, plugins may not (R-14).
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND NOT MOECOLLAB_SANITIZE MATCHES "fuzzer")
    execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-runtime-dir OUTPUT_VARIABLE clang_runtime OUTPUT_STRIP_TRAILING_WHITESPACE)
    add_link_options(-shared-libsan)
    string(APPEND CMAKE_EXE_LINKER_FLAGS " -Wl,-rpath,${clang_runtime}")
  endif()
endif()

# The warnings that every target of this tree compiles without.
add_library(moecollab_warnings INTERFACE)
target_compile_options(moecollab_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Werror
  # GCC 12 sees uninitialised members in moved-from optionals and JSON values, though there are none.
  $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>
  # Clang's -Wextra and -Wpedantic refuse what this tree does on purpose: macros of the kernel's headers,
  # embedded files, aggregates that end in defaults, and long text in lists.
  $<$<CXX_COMPILER_ID:Clang>:-Wno-c99-extensions -Wno-overlength-strings -Wno-missing-field-initializers -Wno-missing-braces -Wno-string-concatenation>)

# -O2: hot loops are in LibTorch, and in plugins that ask for more themselves.
string(REPLACE "-O3" "-O2" CMAKE_CXX_FLAGS_RELEASE "${CMAKE_CXX_FLAGS_RELEASE}")
