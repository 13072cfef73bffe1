# embed_files(TARGET NAMESPACE::FUNCTION FOLDER [FILE…]): compiles every file under FOLDER into the target as
# `std::span<const EmbeddedFile> NAMESPACE::FUNCTION()` (base/embedded.h), sorted by path; then the
# FILEs, which lie elsewhere, by their names alone.
function(embed_files target function folder)
  file(GLOB_RECURSE names RELATIVE ${folder} CONFIGURE_DEPENDS LIST_DIRECTORIES false ${folder}/*)
  list(SORT names)
  list(TRANSFORM names PREPEND ${folder}/ OUTPUT_VARIABLE paths)
  foreach(file IN LISTS ARGN)
    cmake_path(GET file FILENAME name)
    list(APPEND names ${name})
    list(APPEND paths ${file})
  endforeach()
  set(output ${CMAKE_CURRENT_BINARY_DIR}/${target}_embedded.cpp)
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DFUNCTION=${function} "-DNAMES=${names}" "-DPATHS=${paths}" -DOUTPUT=${output}
            -P ${PROJECT_SOURCE_DIR}/cmake/embed_files_script.cmake
    DEPENDS ${paths} ${PROJECT_SOURCE_DIR}/cmake/embed_files_script.cmake
    COMMENT "Embedding ${folder}" VERBATIM)
  target_sources(${target} PRIVATE ${output})
endfunction()
