# Run by embed_files().
set(text "#include \"base/embedded.h\"\nnamespace {\nconstexpr moecollab::EmbeddedFile kFiles[] = {\n")
foreach(name path IN ZIP_LISTS NAMES PATHS)
  file(READ ${path} content)
  string(APPEND text "{\"${name}\", R\"__embedded__(${content})__embedded__\"},\n")
endforeach()
string(REGEX MATCH "^(.*)::([^:]*)$" matched ${FUNCTION})
file(WRITE ${OUTPUT} "${text}};\n}\nnamespace ${CMAKE_MATCH_1} {\nstd::span<const EmbeddedFile> ${CMAKE_MATCH_2}() { return kFiles; }\n}\n")
