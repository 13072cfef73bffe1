# One fmt for the whole program, compiled once (Debian's libfmt). LibTorch's include folder carries
# another version, which every file that includes LibTorch would see instead. Used header-only, both
# work side by side, but each file compiles fmt's formatting code again (2 s per file, half of the
# build). So LibTorch's headers are reached through a folder of links that leaves out fmt.
set(LibTorch_view ${PROJECT_BINARY_DIR}/libtorch-include)
file(REMOVE_RECURSE ${LibTorch_view})
file(MAKE_DIRECTORY ${LibTorch_view})
file(GLOB LibTorch_headers RELATIVE ${LibTorch_INCLUDE_DIR} ${LibTorch_INCLUDE_DIR}/*)
list(REMOVE_ITEM LibTorch_headers fmt)
foreach(entry IN LISTS LibTorch_headers)
  file(CREATE_LINK ${LibTorch_INCLUDE_DIR}/${entry} ${LibTorch_view}/${entry} SYMBOLIC)
endforeach()
set_target_properties(LibTorch::LibTorch PROPERTIES INTERFACE_INCLUDE_DIRECTORIES
  "${LibTorch_view};${LibTorch_view}/torch/csrc/api/include")
