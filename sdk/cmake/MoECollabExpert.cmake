# moecollab_add_expert(NAME SOURCES file... MANIFEST expert.toml [PACKAGE dir] [SHARED_RUNTIME]
#                      [TORCH] [FILES file...] [LINK target...])
#
# Builds lib<NAME>.so, which exports moec_plugin_entry() alone and leaves no symbol undefined, and
# assembles the package folder (default: ${CMAKE_CURRENT_BINARY_DIR}/<NAME>.package): the library,
# FILES (weights.safetensors, probe.json, …) and the manifest, to which [abi] and the digests under
# [files] are added; the author writes neither. libstdc++ is linked statically, so that the package
# loads on any distribution, unless SHARED_RUNTIME is given. TORCH (find_package(MoECollabSDK COMPONENTS
# Torch)) compiles against LibTorch as C++20; the host's copy of it is the one that runs, so libstdc++ is
# shared and [abi] asks for this minor of LibTorch. SOURCES may be CUDA's (enable_language(CUDA)): its runtime
# is linked statically too, and loads the driver only when it is called.
#
# For Windows, with mingw-w64: a .dll with its runtime inside, which exports the same one symbol.

function(moecollab_add_expert name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "SHARED_RUNTIME;TORCH" "MANIFEST;PACKAGE" "SOURCES;FILES;LINK")
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_SOURCES OR NOT arg_MANIFEST)
    message(FATAL_ERROR "moecollab_add_expert(${name}): SOURCES and MANIFEST are needed; not understood: '${arg_UNPARSED_ARGUMENTS}'")
  endif()
  get_filename_component(manifest ${arg_MANIFEST} ABSOLUTE)
  if(NOT EXISTS ${manifest})
    message(FATAL_ERROR "moecollab_add_expert(${name}): no manifest at ${manifest}")
  endif()
  if(NOT arg_PACKAGE)
    set(arg_PACKAGE ${CMAKE_CURRENT_BINARY_DIR}/${name}.package)
  endif()

  set(libtorch "")
  if(arg_TORCH)
    if(NOT TARGET LibTorch::LibTorch)
      message(FATAL_ERROR "moecollab_add_expert(${name} TORCH): use find_package(MoECollabSDK COMPONENTS Torch)")
    endif()
    set(arg_SHARED_RUNTIME ON)
    list(APPEND arg_LINK LibTorch::LibTorch)
    string(REGEX MATCH "^[0-9]+\\.[0-9]+" libtorch "${LibTorch_VERSION}")
  endif()

  add_library(${name} MODULE ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE MoECollab::SDK ${arg_LINK})
  set_target_properties(${name} PROPERTIES
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden CUDA_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON CUDA_RUNTIME_LIBRARY Static
    LINK_DEPENDS ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/exports.map SKIP_BUILD_RPATH ON)
  get_property(languages GLOBAL PROPERTY ENABLED_LANGUAGES)
  if("CXX" IN_LIST languages)
    target_compile_features(${name} PRIVATE $<IF:$<BOOL:${arg_TORCH}>,cxx_std_20,cxx_std_17>)
  endif()
  if("CUDA" IN_LIST languages)
    target_compile_features(${name} PRIVATE cuda_std_17)
  endif()
  if(WIN32)
    target_link_options(${name} PRIVATE -static)
  else()
    target_link_options(${name} PRIVATE
      -Wl,--version-script=${CMAKE_CURRENT_FUNCTION_LIST_DIR}/exports.map -Wl,-z,defs -Wl,-z,noexecstack)
    if(NOT arg_SHARED_RUNTIME)
      target_link_options(${name} PRIVATE -static-libgcc $<$<LINK_LANGUAGE:CXX,CUDA>:-static-libstdc++>)
    endif()
  endif()

  string(REPLACE "AMD64" "x86_64" processor "${CMAKE_SYSTEM_PROCESSOR}")
  set(files "")
  foreach(file IN LISTS arg_FILES)
    get_filename_component(file ${file} ABSOLUTE)
    list(APPEND files ${file})
  endforeach()
  string(REPLACE ";" "|" joined_files "${files}")
  add_custom_command(OUTPUT ${arg_PACKAGE}/expert.toml
    COMMAND ${CMAKE_COMMAND} -DPACKAGE=${arg_PACKAGE} -DLIBRARY=$<TARGET_FILE:${name}> -DMANIFEST=${manifest}
            -DHEADER=$<TARGET_PROPERTY:MoECollab::SDK,INTERFACE_INCLUDE_DIRECTORIES> -DFILES=${joined_files} -DLIBTORCH=${libtorch}
            -DPLATFORM=$<LOWER_CASE:${CMAKE_SYSTEM_NAME}>-${processor}
            -P ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/assemble_package.cmake
    DEPENDS ${name} ${manifest} ${files} ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/assemble_package.cmake
    COMMENT "Assembling package ${arg_PACKAGE}" VERBATIM)
  add_custom_target(${name}_package ALL DEPENDS ${arg_PACKAGE}/expert.toml)
  set_target_properties(${name} PROPERTIES MOECOLLAB_PACKAGE ${arg_PACKAGE})
endfunction()

# moecollab_add_validation(NAME [LEVEL 1…5]): a test that runs `moecollab validate` on the package of that
# expert, up to the level (default 5), and leaves <NAME>.validate.xml (JUnit) in the build folder. Needs the
# program; MOECOLLAB_PROGRAM says where it is.
function(moecollab_add_validation name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "LEVEL" "")
  if(NOT TARGET ${name} OR arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "moecollab_add_validation(${name}): no such expert, or not understood: '${arg_UNPARSED_ARGUMENTS}'")
  endif()
  if(NOT arg_LEVEL)
    set(arg_LEVEL 5)
  endif()
  find_program(MOECOLLAB_PROGRAM moecollab HINTS ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../../../bin)
  if(NOT MOECOLLAB_PROGRAM)
    message(FATAL_ERROR "moecollab_add_validation(${name}): the program moecollab was not found; set MOECOLLAB_PROGRAM to its path, or BUILD_TESTING to OFF")
  endif()
  get_target_property(package ${name} MOECOLLAB_PACKAGE)
  add_test(NAME ${name}.validate COMMAND ${MOECOLLAB_PROGRAM} validate ${package} --level ${arg_LEVEL}
           --junit ${CMAKE_BINARY_DIR}/${name}.validate.xml)
endfunction()
