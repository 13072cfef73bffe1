# Run by embed_files().
set(text "#include \"base/embedded.h\"\nnamespace {\nconstexpr moecollab::EmbeddedFile kFiles[] = {\n")
foreach(file IN LISTS FILES)
  file(READ ${FOLDER}/${file} content)
  string(APPEND text "{\"${file}\", R\"__embedded__(${content})__embedded__\"},\n")
endforeach()
string(REGEX MATCH "^(.*)::([^:]*)$" matched ${FUNCTION})
file(WRITE ${OUTPUT} "${text}};\n}\nnamespace ${CMAKE_MATCH_1} {\nstd::span<const EmbeddedFile> ${CMAKE_MATCH_2}() { return kFiles; }\n}\n")
