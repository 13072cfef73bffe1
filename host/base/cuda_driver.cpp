#include "base/cuda_driver.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstddef>

namespace moecollab {
namespace {

using Result = int;  // CUresult; 0 is success
using Handle = int;  // CUdevice

// The functions that are asked, by the names that the driver exports.
class DriverLibrary {
 public:
  explicit DriverLibrary(void* library) : library_(library) {}

  // False if the driver lacks the function or the call fails, which failure() then says.
  template <typename... Parameters, typename... Arguments>
  bool call(const char* function, Result (*)(Parameters...), Arguments... arguments) {
    using Function = Result (*)(Parameters...);
    const auto found = reinterpret_cast<Function>(::dlsym(library_, function));
    if (found == nullptr) return fail(fmt::format("the driver has no {}", function));
    const Result result = found(arguments...);
    return result == 0 || fail(fmt::format("{}: {}", function, words_of(result)));
  }

  const std::string& failure() const { return failure_; }

 private:
  bool fail(std::string why) {
    failure_ = std::move(why);
    return false;
  }

  std::string words_of(Result result) const {
    using Function = Result (*)(Result, const char**);
    const auto find = reinterpret_cast<Function>(::dlsym(library_, "cuGetErrorString"));
    const char* words = nullptr;
    if (find == nullptr || find(result, &words) != 0 || words == nullptr)
      return fmt::format("error {}", result);
    return words;
  }

  void* library_;
  std::string failure_;
};

using Initialise = Result (*)(unsigned flags);
using GetNumber = Result (*)(int* number);
using GetDevice = Result (*)(Handle* device, int ordinal);
using GetName = Result (*)(char* name, int size, Handle device);
using GetMemory = Result (*)(size_t* bytes, Handle device);
using GetAttribute = Result (*)(int* value, int attribute, Handle device);

// CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR.
constexpr int kMajor = 75, kMinor = 76;

bool list_devices(DriverLibrary& library, CudaDriver& driver) {
  int version = 0, count = 0;
  if (!library.call("cuDriverGetVersion", GetNumber{}, &version)) return false;
  driver.version = fmt::format("{}.{}", version / 1000, version % 1000 / 10);
  if (!library.call("cuInit", Initialise{}, 0U)) return false;
  if (!library.call("cuDeviceGetCount", GetNumber{}, &count)) return false;
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    Handle device = 0;
    char name[256] = {};
    size_t bytes = 0;
    int major = 0, minor = 0;
    if (!library.call("cuDeviceGet", GetDevice{}, &device, ordinal) ||
        !library.call("cuDeviceGetName", GetName{}, name, int{sizeof name - 1}, device) ||
        !library.call("cuDeviceTotalMem_v2", GetMemory{}, &bytes, device) ||
        !library.call("cuDeviceGetAttribute", GetAttribute{}, &major, kMajor, device) ||
        !library.call("cuDeviceGetAttribute", GetAttribute{}, &minor, kMinor, device)) {
      return false;
    }
    driver.devices.push_back({name, static_cast<int64_t>(bytes), 10 * major + minor});
  }
  return true;
}

CudaDriver look() {
  CudaDriver driver;
  void* opened =
      ::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);  // never closed: threads of it run
  if (opened == nullptr) {
    const char* reason = ::dlerror();
    driver.failure = fmt::format("NVIDIA's driver is not here ({})",
                                 reason == nullptr ? "libcuda.so.1 cannot be opened" : reason);
    return driver;
  }
  DriverLibrary library(opened);
  if (!list_devices(library, driver)) {
    driver.devices.clear();
    driver.failure = fmt::format("NVIDIA's driver gives no device ({})", library.failure());
  } else if (driver.devices.empty()) {
    driver.failure = "NVIDIA's driver offers this process no device";
  }
  return driver;
}

}  // namespace

const CudaDriver& cuda_driver() {
  static const CudaDriver driver = look();
  return driver;
}

}  // namespace moecollab
