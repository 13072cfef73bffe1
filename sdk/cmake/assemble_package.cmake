# Run by moecollab_add_expert(): copies library and files into PACKAGE and completes the manifest.
foreach(line "ABI_MAJOR" "ABI_MINOR" "SDK_VERSION")
  file(STRINGS ${HEADER}/moecollab/abi.h found REGEX "#define MOEC_${line} ")
  string(REGEX REPLACE ".*MOEC_${line} \"?([0-9.]+).*" "\\1" ${line} "${found}")
endforeach()

file(READ ${MANIFEST} text)
foreach(table abi files)
  if(text MATCHES "(^|\n)[ \t]*\\[${table}\\]")
    message(FATAL_ERROR "${MANIFEST}: [${table}] is written by the build; remove it")
  endif()
endforeach()

string(REPLACE "|" ";" FILES "${FILES}")
file(REMOVE_RECURSE ${PACKAGE})
file(MAKE_DIRECTORY ${PACKAGE})
set(digests "")
foreach(file IN LISTS LIBRARY FILES)
  get_filename_component(name ${file} NAME)
  file(COPY ${file} DESTINATION ${PACKAGE} FILE_PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
  file(SHA256 ${file} digest)
  string(APPEND digests "\"${name}\" = \"${digest}\"\n")
endforeach()
set(abi "version = \"${ABI_MAJOR}.${ABI_MINOR}\"
sdk = \"${SDK_VERSION}\"
platform = \"${PLATFORM}\"
")
if(LIBTORCH)
  string(APPEND abi "libtorch = \"==${LIBTORCH}.*\"\n")
endif()
file(WRITE ${PACKAGE}/expert.toml "${text}
[abi]
${abi}
[files]
${digests}")
