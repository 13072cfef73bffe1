# Stages: the folders of host/ in pipeline order, one library each, and the layer rule between them.
#
#   moecollab_stage(NAME [TORCH] SOURCES file... LINK target...)
#
# A stage links and includes stages to its left (or of its own rank) only, and a stage that is not
# marked TORCH reaches LibTorch through none of them; configure fails otherwise.

# The one list of stages: ranks, left to right. host/CMakeLists.txt adds these folders, the layer rule
# follows their order, and host/README.md shows it (the test `layers` compares). A sub-library (metrics)
# has the rank of its folder. Stages of one rank stand between bars (a semicolon would make each an
# element, and so a rank, of its own).
set(MOECOLLAB_RANKS
    "base" "cluster" "text|weights|data|registry" "encoder|experts" "worker" "gate|fusion" "pipeline"
    "training|evaluation" "conformance|contribution" "ablation" "scale" "engine" "cli" "app")

# stage_rank(STAGE OUT): position of the stage's folder in the pipeline; fails for an unknown one.
function(stage_rank stage out)
  set(rank 0)
  foreach(alternatives IN LISTS MOECOLLAB_RANKS)
    if(stage MATCHES "^(${alternatives})$")
      set(${out} ${rank} PARENT_SCOPE)
      return()
    endif()
    math(EXPR rank "${rank} + 1")
  endforeach()
  message(FATAL_ERROR "Layer rule: '${stage}' is no stage of the pipeline (cmake/Stages.cmake lists them)")
endfunction()

# check_includes(FOLDER FILE...): no file includes a stage to the right of its folder, nor <torch/torch.h>.
function(check_includes folder)
  stage_rank(${folder} own_rank)
  foreach(file IN LISTS ARGN)
    file(STRINGS ${file} includes REGEX "^#include [<\"]")
    foreach(line IN LISTS includes)
      if(line MATCHES "<torch/torch\\.h>")
        message(FATAL_ERROR "Layer rule: ${file} includes <torch/torch.h>; include the <ATen/...> header it needs")
      endif()
      if(line MATCHES "^#include \"([a-z]+)/")
        set(stage ${CMAKE_MATCH_1})
        stage_rank(${stage} rank)
        if(rank GREATER own_rank)
          message(FATAL_ERROR "Layer rule: ${file} (stage ${folder}) includes ${stage}/, which is to its right")
        endif()
      endif()
    endforeach()
  endforeach()
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${ARGN})
endfunction()

# check_torch_free(TARGET): fails if the target reaches LibTorch over its link interface.
function(check_torch_free root)
  set(open ${root})
  set(seen "")
  while(open)
    list(POP_FRONT open target)
    if(target MATCHES "^LibTorch::" OR target MATCHES "torch_cpu|libc10")
      message(FATAL_ERROR "Layer rule: ${root} is torch-free, but reaches ${target}; mark it TORCH or drop the link")
    endif()
    if(NOT TARGET ${target} OR target IN_LIST seen)
      continue()
    endif()
    list(APPEND seen ${target})
    foreach(property LINK_LIBRARIES INTERFACE_LINK_LIBRARIES)
      get_target_property(next ${target} ${property})
      if(next)
        list(APPEND open ${next})
      endif()
    endforeach()
  endwhile()
endfunction()

# moecollab_unity(TARGET [N]): compiles its files N (12) at a time, since most of a file's time goes into
# the headers and templates that it shares with its neighbours. So no two files of a target may define
# the same name in their anonymous namespaces.
option(MOECOLLAB_UNITY "Compile the host and its tests several files at a time" ON)
function(moecollab_unity target)
  if(ARGN)
    set(files ${ARGN})
  else()
    set(files 12)
  endif()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${MOECOLLAB_UNITY} UNITY_BUILD_BATCH_SIZE ${files})
endfunction()

function(moecollab_stage name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "TORCH" "" "SOURCES;LINK")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "moecollab_stage(${name}): unknown arguments ${arg_UNPARSED_ARGUMENTS}")
  endif()
  get_filename_component(folder ${CMAKE_CURRENT_SOURCE_DIR} NAME)
  file(GLOB files CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.h ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  check_includes(${folder} ${files})

  add_library(${name} STATIC ${arg_SOURCES})
  moecollab_unity(${name})
  target_include_directories(${name} PUBLIC ${MOECOLLAB_HOST_DIR})
  target_link_libraries(${name} PUBLIC ${arg_LINK} PRIVATE moecollab_warnings)
  if(arg_TORCH)
    target_link_libraries(${name} PUBLIC LibTorch::LibTorch)
    if(TARGET torch_precompiled)
      target_precompile_headers(${name} REUSE_FROM torch_precompiled)
    endif()
  else()
    if(TARGET light_precompiled AND NOT name STREQUAL "cli")
      target_precompile_headers(${name} REUSE_FROM light_precompiled)
    endif()
    # After the whole tree is known, so that a link added later is seen too.
    cmake_language(EVAL CODE "cmake_language(DEFER DIRECTORY \${MOECOLLAB_ROOT_DIR} CALL check_torch_free ${name})")
  endif()
endfunction()
