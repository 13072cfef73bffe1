# FindLibTorch: the CPU part of LibTorch as LibTorch::LibTorch, without the CUDA toolkit that the
# wheel's own TorchConfig.cmake demands.
#
# Looks in MOECOLLAB_LIBTORCH_DIR (cache or environment: an unpacked LibTorch or a wheel's torch/
# folder, holding include/ and lib/), then in the set-up folder .deps/. Sets LibTorch_VERSION.

set(LibTorch_hints ${MOECOLLAB_LIBTORCH_DIR} $ENV{MOECOLLAB_LIBTORCH_DIR}
                   ${CMAKE_CURRENT_LIST_DIR}/../.deps/wheels/torch)
find_path(LibTorch_INCLUDE_DIR ATen/ATen.h HINTS ${LibTorch_hints} PATH_SUFFIXES include NO_DEFAULT_PATH)
find_library(LibTorch_CPU_LIBRARY torch_cpu HINTS ${LibTorch_hints} PATH_SUFFIXES lib NO_DEFAULT_PATH)
find_library(LibTorch_C10_LIBRARY c10 HINTS ${LibTorch_hints} PATH_SUFFIXES lib NO_DEFAULT_PATH)

if(LibTorch_INCLUDE_DIR)
  file(STRINGS ${LibTorch_INCLUDE_DIR}/torch/headeronly/version.h version_lines REGEX "#define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
  string(REGEX REPLACE "[^0-9;]" "" LibTorch_VERSION "${version_lines}")
  string(REPLACE ";" "." LibTorch_VERSION "${LibTorch_VERSION}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
  REQUIRED_VARS LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY LibTorch_INCLUDE_DIR
  VERSION_VAR LibTorch_VERSION
  REASON_FAILURE_MESSAGE "run `make setup`, or set MOECOLLAB_LIBTORCH_DIR to a LibTorch 2.15 folder")

if(LibTorch_FOUND AND NOT TARGET LibTorch::LibTorch)
  add_library(LibTorch::LibTorch INTERFACE IMPORTED)
  target_include_directories(LibTorch::LibTorch SYSTEM INTERFACE
    ${LibTorch_INCLUDE_DIR} ${LibTorch_INCLUDE_DIR}/torch/csrc/api/include)
  target_link_libraries(LibTorch::LibTorch INTERFACE ${LibTorch_CPU_LIBRARY} ${LibTorch_C10_LIBRARY})
  # The wheel's libtorch_cpu.so finds libcudart and libcupti by its own RPATH, which the linker does not follow.
  target_link_options(LibTorch::LibTorch INTERFACE -Wl,--allow-shlib-undefined)
  target_compile_features(LibTorch::LibTorch INTERFACE cxx_std_20)
endif()
