# The program as `make install PREFIX=…` lays it out, to be moved as a whole:
#   bin/moecollab, lib/libmoecollab_engine.so, lib/moecollab/plugins/<kind>/
#   lib/moecollab/torch/lib, lib/moecollab/nvidia: what the engine needs of LibTorch for the CPU
#   share/moecollab/encoder/all-MiniLM-L6-v2, share/moecollab/schema, share/moecollab/samples/experts
#   share/doc/moecollab
#   share/man/man1, and completions where bash, zsh and fish look for those of other programs
# The SDK installs itself (sdk/CMakeLists.txt). "lib" and not GNUInstallDirs' choice: the program looks there.
set(MOECOLLAB_INSTALL_ENCODER ${PROJECT_SOURCE_DIR}/.deps/encoder/all-MiniLM-L6-v2 CACHE PATH "Encoder to install with the program")

install(TARGETS moecollab RUNTIME DESTINATION bin COMPONENT program)
set_target_properties(moecollab_engine PROPERTIES INSTALL_RPATH "$ORIGIN/moecollab/torch/lib")
install(TARGETS moecollab_engine LIBRARY DESTINATION lib COMPONENT program)
install(DIRECTORY ${PROJECT_BINARY_DIR}/lib/moecollab/plugins/ DESTINATION lib/moecollab/plugins COMPONENT program)

get_filename_component(torch_lib ${LibTorch_CPU_LIBRARY} DIRECTORY)
file(GLOB torch_needs ${torch_lib}/libgomp*.so*)
if(NOT torch_needs)
  message(STATUS "no libgomp beside ${LibTorch_CPU_LIBRARY}: an installed program uses the system's")
endif()
install(FILES ${LibTorch_CPU_LIBRARY} ${LibTorch_C10_LIBRARY} ${torch_needs} DESTINATION lib/moecollab/torch/lib COMPONENT program)
foreach(library cudart cupti)  # libtorch_cpu.so asks for both, from ../../nvidia/cu13/lib, with and without a device
  file(GLOB files ${torch_lib}/../../nvidia/cu13/lib/lib${library}.so.13)
  if(NOT files)
    message(STATUS "no lib${library}.so.13 beside ${LibTorch_CPU_LIBRARY}: an installed program needs the system's")
  endif()
  install(FILES ${files} DESTINATION lib/moecollab/nvidia/cu13/lib COMPONENT program)
endforeach()

install(DIRECTORY ${MOECOLLAB_INSTALL_ENCODER}/ DESTINATION share/moecollab/encoder/all-MiniLM-L6-v2 COMPONENT program)
install(FILES README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md LICENSE DESTINATION share/doc/moecollab COMPONENT program)
install(DIRECTORY docs DESTINATION share/doc/moecollab COMPONENT program FILES_MATCHING PATTERN "*.md")
install(DIRECTORY registry/schema DESTINATION share/moecollab COMPONENT program)
install(DIRECTORY samples/experts DESTINATION share/moecollab/samples COMPONENT program)
foreach(folder man bash-completion zsh fish)
  install(DIRECTORY ${PROJECT_BINARY_DIR}/share/${folder} DESTINATION share COMPONENT program)
endforeach()
