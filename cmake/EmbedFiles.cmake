# embed_files(TARGET NAMESPACE::FUNCTION FOLDER): compiles every file under FOLDER into the target as
# `std::span<const EmbeddedFile> NAMESPACE::FUNCTION()` (base/embedded.h), sorted by path.
function(embed_files target function folder)
  file(GLOB_RECURSE files RELATIVE ${folder} CONFIGURE_DEPENDS LIST_DIRECTORIES false ${folder}/*)
  list(SORT files)
  list(TRANSFORM files PREPEND ${folder}/ OUTPUT_VARIABLE paths)
  set(output ${CMAKE_CURRENT_BINARY_DIR}/${target}_embedded.cpp)
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DFUNCTION=${function} -DFOLDER=${folder} "-DFILES=${files}" -DOUTPUT=${output}
            -P ${PROJECT_SOURCE_DIR}/cmake/embed_files_script.cmake
    DEPENDS ${paths} ${PROJECT_SOURCE_DIR}/cmake/embed_files_script.cmake
    COMMENT "Embedding ${folder}" VERBATIM)
  target_sources(${target} PRIVATE ${output})
endfunction()
