#include "torch/test_device_memory.h"

#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "torch/test_device.h"

namespace moecollab::testing {
namespace {

constexpr int64_t kNoLimit = int64_t{1} << 60;  // bytes

// Addresses of the device, and the storage of the CPU that holds the bytes of each. No address is
// given twice, so one whose memory was freed is known as such.
class Memory {
 public:
  // An address for that storage, given back with the pointer.
  c10::DataPtr show(c10::Storage bytes) {
    if (bytes.nbytes() == 0) return {nullptr, kTestDevice};
    const std::lock_guard lock(mutex_);
    const auto size = static_cast<int64_t>(bytes.nbytes());
    TORCH_CHECK_WITH(OutOfMemoryError, used_ + size <= limit_, "the test device has ", limit_,
                     " bytes, of which ", used_, " are used; asked for are ", size);
    used_ += size;
    if (next_ == nullptr) reserve();
    char* const address = next_;
    next_ += (bytes.nbytes() / kPage + 1) * kPage;
    TORCH_CHECK(next_ <= end_, "the test device is out of addresses");
    blocks_.emplace(address, Block{std::move(bytes), size});
    return {address, address, &Memory::free, kTestDevice};
  }
  // The storage that an address is in, and how far into it.
  std::pair<c10::Storage, int64_t> find(const void* address) {
    const auto* const wanted = static_cast<const char*>(address);
    const std::lock_guard lock(mutex_);
    auto block = blocks_.upper_bound(wanted);
    const bool found = block != blocks_.begin() &&
                       wanted < std::prev(block)->first + std::prev(block)->second.bytes.nbytes();
    TORCH_CHECK(found, "no memory of the test device is at ", address, "; it may have been freed");
    --block;
    return {block->second.bytes, wanted - block->first};
  }
  int64_t used() {
    const std::lock_guard lock(mutex_);
    return used_;
  }
  void set_limit(int64_t bytes) {
    const std::lock_guard lock(mutex_);
    limit_ = bytes;
  }

 private:
  static constexpr size_t kPage = 4096, kReserved = size_t{1} << 40;

  void reserve() {
    void* const pages =
        mmap(nullptr, kReserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    TORCH_CHECK(pages != MAP_FAILED, "no addresses for the test device: ", std::strerror(errno));
    next_ = static_cast<char*>(pages);
    end_ = next_ + kReserved;
  }
  static void free(void* address);

  std::mutex mutex_;
  char *next_ = nullptr, *end_ = nullptr;
  int64_t used_ = 0, limit_ = kNoLimit;  // bytes
  struct Block {
    c10::Storage bytes;
    int64_t counted;  // of `used_`: a kernel may make the storage grow
  };
  std::map<const char*, Block> blocks_;
};

// Never destroyed: tensors of static objects outlive every other.
Memory& memory() {
  static auto* memory = new Memory;
  return *memory;
}

void Memory::free(void* address) {
  Memory& all = memory();
  c10::Storage bytes;  // freed without the lock
  const std::lock_guard lock(all.mutex_);
  const auto block = all.blocks_.find(static_cast<const char*>(address));
  bytes = std::move(block->second.bytes);
  all.used_ -= block->second.counted;
  all.blocks_.erase(block);
}

c10::Storage cpu_storage(size_t bytes) {
  return {c10::Storage::use_byte_size_t(), static_cast<int64_t>(bytes), c10::GetCPUAllocator(),
          /*resizable=*/true};
}

class TestAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    c10::Storage storage = cpu_storage(bytes);
    if (bytes > 0) std::memset(storage.mutable_data(), 0xFF, bytes);  // NaN, -1, true
    return memory().show(std::move(storage));
  }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    const auto [target, to_offset] = memory().find(to);
    const auto [source, from_offset] = memory().find(from);
    std::memcpy(static_cast<char*>(target.mutable_data()) + to_offset,
                static_cast<const char*>(source.data()) + from_offset, bytes);
  }
};

// A tensor of the same shape as `like` over that storage, `offset` elements into it.
at::Tensor tensor_over(c10::Storage storage, c10::DispatchKeySet keys, const at::Tensor& like,
                       int64_t offset) {
  at::Tensor tensor =
      at::detail::make_tensor<c10::TensorImpl>(std::move(storage), keys, like.dtype());
  c10::TensorImpl* const impl = tensor.unsafeGetTensorImpl();
  impl->set_sizes_and_strides(like.sizes(), like.strides(), offset);
  if (like.unsafeGetTensorImpl()->is_wrapped_number()) impl->set_wrapped_number(true);
  return tensor;
}

}  // namespace

c10::Allocator& test_device_allocator() {
  static auto* allocator = new TestAllocator;
  return *allocator;
}

at::Tensor mirror_of(const at::Tensor& tensor) {
  TORCH_CHECK(tensor.layout() == at::kStrided && !tensor.is_quantized(),
              "the test device holds plain tensors only");
  constexpr c10::DispatchKeySet kCpu(c10::DispatchKey::CPU);
  const void* const address = tensor.storage().data();
  if (address == nullptr) return tensor_over(cpu_storage(0), kCpu, tensor, tensor.storage_offset());
  auto [storage, offset] = memory().find(address);
  // It is not 0 if the tensor was made of a bare pointer, as experts make theirs.
  const auto size = static_cast<int64_t>(tensor.itemsize());
  TORCH_CHECK(offset % size == 0, "a tensor of the test device begins inside an element");
  return tensor_over(std::move(storage), kCpu, tensor, offset / size + tensor.storage_offset());
}

at::Tensor take_over(at::Tensor computed) {
  if (computed.storage().use_count() > 1) computed = computed.clone();
  const size_t bytes = computed.storage().nbytes();
  c10::Storage storage(c10::Storage::use_byte_size_t(), bytes, memory().show(computed.storage()),
                       &test_device_allocator(), /*resizable=*/true);
  return tensor_over(std::move(storage), kTestDeviceKeys, computed, computed.storage_offset());
}

void grow_to(const at::Tensor& mirror, const at::Tensor& tensor) {
  c10::StorageImpl* const storage = tensor.storage().unsafeGetStorageImpl();
  storage->set_data_ptr_noswap(memory().show(mirror.storage()));
  storage->set_nbytes(mirror.storage().nbytes());
}

int64_t test_device_memory_used() { return memory().used(); }

void set_test_device_memory(std::optional<int64_t> bytes) {
  memory().set_limit(bytes.value_or(kNoLimit));
}

void check_test_address(const void* address) { memory().find(address); }

}  // namespace moecollab::testing
