#include "torch/test_device.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "torch/test_device_memory.h"

namespace moecollab::testing {
namespace {

bool is_ours(const at::Tensor& tensor) { return tensor.device().type() == at::kPrivateUse1; }

class Counter {
 public:
  void kernel(const std::string& name, bool reads_value) {
    const std::lock_guard lock(mutex_);
    ++counts_.calls[name];
    if (reads_value) ++counts_.values_read;
  }
  void to_device(const at::Tensor& copied) {
    const std::lock_guard lock(mutex_);
    ++counts_.copies_to_device;
    counts_.bytes_to_device += static_cast<int64_t>(copied.nbytes());
  }
  void to_host(const at::Tensor& copied) {
    const std::lock_guard lock(mutex_);
    ++counts_.copies_to_host;
    counts_.bytes_to_host += static_cast<int64_t>(copied.nbytes());
  }
  DeviceCounts counts() {
    const std::lock_guard lock(mutex_);
    return counts_;
  }
  void reset() {
    const std::lock_guard lock(mutex_);
    counts_ = {};
  }

 private:
  std::mutex mutex_;
  DeviceCounts counts_;
};

Counter& counter() {
  static auto* counter = new Counter;
  return *counter;
}

// Numbers of its own, which are not those of the CPU's default generator.
class Generator final : public c10::GeneratorImpl {
 public:
  explicit Generator(at::Generator numbers)
      : GeneratorImpl(kTestDevice, kTestDeviceKeys), numbers_(std::move(numbers)) {}
  Generator() : Generator(at::make_generator<at::CPUGeneratorImpl>(c10::default_rng_seed_val)) {}

  static c10::DeviceType device_type() { return at::kPrivateUse1; }
  const at::Generator& numbers() const { return numbers_; }

  void set_current_seed(uint64_t seed) override { numbers_.set_current_seed(seed); }
  void set_offset(uint64_t offset) override { numbers_.set_offset(offset); }
  uint64_t get_offset() const override { return numbers_.get_offset(); }
  uint64_t current_seed() const override { return numbers_.current_seed(); }
  uint64_t seed() override { return numbers_.seed(); }
  void set_state(const c10::TensorImpl& state) override {
    numbers_.unsafeGetGeneratorImpl()->set_state(state);
  }
  c10::intrusive_ptr<c10::TensorImpl> get_state() const override {
    return numbers_.unsafeGetGeneratorImpl()->get_state();
  }

 private:
  Generator* clone_impl() const override { return new Generator(numbers_.clone()); }

  at::Generator numbers_;
};

const at::Generator& default_generator() {
  static const auto* generator = new at::Generator(at::make_generator<Generator>());
  return *generator;
}

// Elementwise operators, which take numbers from the CPU on CUDA too. An operator that is missed
// here fails in a test that it should pass: then it is added.
bool takes_numbers(std::string_view op) {
  static const std::set<std::string_view> names = {
      "add",         "sub",         "rsub",        "mul",         "div",          "true_divide",
      "remainder",   "fmod",        "pow",         "float_power", "floor_divide", "atan2",
      "copysign",    "hypot",       "xlogy",       "eq",          "ne",           "lt",
      "le",          "gt",          "ge",          "maximum",     "minimum",      "fmax",
      "fmin",        "clamp",       "clamp_min",   "clamp_max",   "logical_and",  "logical_or",
      "logical_xor", "bitwise_or",  "bitwise_and", "bitwise_xor", "heaviside",    "logaddexp",
      "where",       "masked_fill", "fill",        "index_fill",  "index_put",    "_index_put_impl",
      "lerp"};
  op.remove_prefix(std::string_view("aten::").size());
  if (op.ends_with('_')) op.remove_suffix(1);
  return names.contains(op);
}

// One call of an operator: its arguments on the CPU, then its results on the device.
class Call {
 public:
  Call(const c10::FunctionSchema& schema, torch::jit::Stack& stack)
      : schema_(schema), stack_(stack) {}

  void move_arguments() {
    const std::vector<c10::Argument>& arguments = schema_.arguments();
    for (size_t i = 0; i < arguments.size(); ++i)
      move(arguments[i], stack_[stack_.size() - arguments.size() + i]);
  }
  void move_results() {
    for (const Mirror& mirror : mirrors_) follow(mirror);
    const size_t count = schema_.returns().size();
    for (size_t i = stack_.size() - count; i < stack_.size(); ++i) {
      c10::IValue& value = stack_[i];
      if (value.isTensor()) {
        value = result(value.toTensor());
      } else if (value.isTensorList()) {
        std::vector<at::Tensor> tensors = value.toTensorVector();
        for (at::Tensor& tensor : tensors) tensor = result(tensor);
        value = tensors;
      }
    }
  }

 private:
  struct Mirror {
    at::Tensor tensor, on_cpu;
    size_t bytes;  // of the storage before the call
  };

  void move(const c10::Argument& argument, c10::IValue& value) {
    if (value.isTensor()) {
      value = moved(argument, value.toTensor());
    } else if (value.isTensorList()) {
      std::vector<at::Tensor> tensors = value.toTensorVector();
      for (at::Tensor& tensor : tensors) tensor = moved(argument, tensor);
      value = tensors;
    } else if (value.isOptionalTensorList()) {
      c10::List<std::optional<at::Tensor>> tensors;
      for (const std::optional<at::Tensor>& tensor : value.toOptionalTensorVector())
        tensors.push_back(tensor ? std::optional(moved_index(argument, *tensor)) : std::nullopt);
      value = tensors;
    } else if (value.isDevice()) {
      value = at::Device(at::kCPU);
    } else if (const auto* const type = argument.type()->castRaw<c10::OptionalType>();
               type != nullptr && type->getElementType()->kind() == c10::TypeKind::GeneratorType) {
      value = numbers_of(value.isNone() ? default_generator() : value.toGenerator());
    }
  }
  at::Tensor moved(const c10::Argument& argument, const at::Tensor& tensor) {
    if (!tensor.defined()) return tensor;
    if (is_ours(tensor)) return mirror(tensor);
    const bool is_written = argument.alias_info() != nullptr && argument.alias_info()->isWrite();
    const bool is_number =
        tensor.dim() == 0 && tensor.is_cpu() && !is_written && takes_numbers(schema_.name());
    if (!is_number && !tensor.unsafeGetTensorImpl()->is_wrapped_number()) refuse(argument, tensor);
    return tensor;
  }
  at::Tensor moved_index(const c10::Argument& argument, const at::Tensor& index) {
    if (!index.defined()) return index;
    if (is_ours(index)) return mirror(index);
    if (!index.is_cpu()) refuse(argument, index);
    counter().to_device(index);
    return index;
  }
  // One per tensor, since operators may ask whether two arguments are the same.
  at::Tensor mirror(const at::Tensor& tensor) {
    for (const Mirror& known : mirrors_)
      if (known.tensor.is_same(tensor)) return known.on_cpu;
    mirrors_.push_back({tensor, mirror_of(tensor), tensor.storage().nbytes()});
    return mirrors_.back().on_cpu;
  }
  const at::Generator& numbers_of(const at::Generator& generator) const {
    TORCH_CHECK(generator.device().type() == at::kPrivateUse1, schema_.operator_name(),
                ": the generator is on ", generator.device(), ", the tensors are on ", kTestDevice);
    return static_cast<const Generator*>(generator.unsafeGetGeneratorImpl())->numbers();
  }
  void refuse(const c10::Argument& argument, const at::Tensor& tensor) const {
    TORCH_CHECK(false, schema_.operator_name(), ": the argument `", argument.name(), "` is on ",
                tensor.device(), ", others are on ", kTestDevice);
  }
  // What the operator gave another shape, as it does with results that the caller brings.
  static void follow(const Mirror& mirror) {
    const at::Tensor &tensor = mirror.tensor, &on_cpu = mirror.on_cpu;
    if (tensor.sizes() != on_cpu.sizes() || tensor.strides() != on_cpu.strides())
      tensor.unsafeGetTensorImpl()->set_sizes_and_strides(on_cpu.sizes(), on_cpu.strides());
    // Two tensors of one storage grow it once.
    const bool grew = on_cpu.storage().nbytes() > mirror.bytes;
    if (grew && tensor.storage().nbytes() == mirror.bytes) grow_to(on_cpu, tensor);
  }
  at::Tensor result(const at::Tensor& computed) const {
    if (!computed.defined()) return computed;
    for (const Mirror& known : mirrors_)
      if (known.on_cpu.is_same(computed)) return known.tensor;
    return take_over(computed);
  }

  const c10::FunctionSchema& schema_;
  torch::jit::Stack& stack_;
  std::vector<Mirror> mirrors_;
};

bool is_view(const c10::FunctionSchema& schema) {
  for (const c10::Argument& value : schema.returns())
    if (value.alias_info() != nullptr && !value.alias_info()->isWrite()) return true;
  return false;
}

bool reads_value(const c10::FunctionSchema& schema) {
  for (const c10::Argument& value : schema.returns()) {
    const c10::TypeKind kind = value.type()->kind();
    if (kind != c10::TypeKind::TensorType && kind != c10::TypeKind::ListType) return true;
  }
  return false;
}

// Every operator but for the few below.
void compute(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const at::AutoDispatchBelowADInplaceOrView below_autograd;
  const c10::FunctionSchema& schema = op.schema();
  TORCH_CHECK(!is_view(schema), schema.operator_name(),
              ": the test device has no kernel for this view");
  Call call(schema, *stack);
  call.move_arguments();
  counter().kernel(schema.name(), reads_value(schema));
  op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
  call.move_results();
}

at::Tensor empty(at::IntArrayRef size, std::optional<at::ScalarType> type,
                 std::optional<at::Layout> layout, std::optional<at::Device> /*device*/,
                 std::optional<bool> pin, std::optional<at::MemoryFormat> format) {
  TORCH_CHECK(layout.value_or(at::kStrided) == at::kStrided && !pin.value_or(false),
              "the test device holds plain tensors only");
  return at::detail::empty_generic(size, &test_device_allocator(), kTestDeviceKeys,
                                   c10::dtype_or_default(type), format);
}

at::Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef strides,
                         std::optional<at::ScalarType> type, std::optional<at::Layout> layout,
                         std::optional<at::Device> /*device*/, std::optional<bool> pin) {
  TORCH_CHECK(layout.value_or(at::kStrided) == at::kStrided && !pin.value_or(false),
              "the test device holds plain tensors only");
  return at::detail::empty_strided_generic(size, strides, &test_device_allocator(), kTestDeviceKeys,
                                           c10::dtype_or_default(type));
}

// All copies to the device, from it and on it, also those that change the type of numbers.
at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool /*non_blocking*/) {
  const at::AutoDispatchBelowADInplaceOrView below_autograd;
  const at::Tensor source = is_ours(from) ? mirror_of(from) : from;
  const at::Tensor target = is_ours(to) ? mirror_of(to) : to;
  target.copy_(source);
  if (!is_ours(from)) {
    counter().to_device(to);
  } else if (!is_ours(to)) {
    counter().to_host(from);
  } else {
    counter().kernel("aten::_copy_from", /*reads_value=*/false);
  }
  return to;
}

// The composite of plain operators; any other needs kernels of the device.
int64_t attention_by_hand(const at::Tensor&, const at::Tensor&, const at::Tensor&,
                          const std::optional<at::Tensor>&, double, bool, std::optional<double>,
                          bool) {
  return 0;
}

struct Guard final : c10::impl::DeviceGuardImplInterface {
  static constexpr c10::DeviceType static_type = at::kPrivateUse1;

  c10::DeviceType type() const override { return at::kPrivateUse1; }
  at::Device exchangeDevice(at::Device) const override { return kTestDevice; }
  at::Device getDevice() const override { return kTestDevice; }
  void setDevice(at::Device) const override {}
  void uncheckedSetDevice(at::Device) const noexcept override {}
  c10::Stream getStream(at::Device) const noexcept override { return stream(); }
  c10::Stream getDefaultStream(at::Device) const override { return stream(); }
  c10::Stream exchangeStream(c10::Stream) const noexcept override { return stream(); }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  // Kernels are done when they return.
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override {}
  void synchronizeDevice(const c10::DeviceIndex) const override {}
  void record(void** /*event*/, const c10::Stream&, const c10::DeviceIndex,
              const c10::EventFlag) const override {}
  void block(void* /*event*/, const c10::Stream&) const override {}
  bool queryEvent(void* /*event*/) const override { return true; }
  void synchronizeEvent(void* /*event*/) const override {}
  void destroyEvent(void* /*event*/, const c10::DeviceIndex) const noexcept override {}

 private:
  static c10::Stream stream() { return c10::Stream(c10::Stream::DEFAULT, kTestDevice); }
};

// Autograd starts the threads of all devices at the first backward() of the process, which may be
// one on the CPU: the device is there from the start, and only its operators come later.
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard)

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  void setCurrentDevice(c10::DeviceIndex) const override {}
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex) const override { return 0; }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex) const override { return 0; }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override {
    return default_generator();
  }
  at::Generator getNewGenerator(c10::DeviceIndex) const override {
    return at::make_generator<Generator>();
  }
  at::Device getDeviceFromPtr(void* address) const override {
    check_test_address(address);
    return kTestDevice;
  }
};

// Whether it is an operator of the CPU alone, which any GPU refuses.
bool is_for_cpu(const std::string& op) {
  return op.find("mkldnn") != std::string::npos || op.find("_for_cpu") != std::string::npos;
}

void register_kernels() {
  // It withdraws its kernels when it is destroyed.
  auto& aten = *new torch::Library(torch::Library::IMPL, "aten", c10::DispatchKey::PrivateUse1,
                                   __FILE__, __LINE__);
  aten.impl("empty.memory_format", TORCH_FN(empty));
  aten.impl("empty_strided", TORCH_FN(empty_strided));
  aten.impl("as_strided", TORCH_FN(at::native::as_strided_tensorimpl));
  aten.impl("view", TORCH_FN(at::native::view));
  aten.impl("unfold", TORCH_FN(at::native::unfold));
  aten.impl("_reshape_alias", TORCH_FN(at::native::_reshape_alias));
  aten.impl("_copy_from", TORCH_FN(copy_from));
  aten.impl("_fused_sdp_choice", TORCH_FN(attention_by_hand));
  // By name, since otherwise LibTorch breaks many into a shape, a new tensor and the operator that
  // writes there: an error would name that one.
  c10::Dispatcher& dispatcher = c10::Dispatcher::singleton();
  for (const c10::OperatorName& name : dispatcher.getAllOpNames()) {
    if (!name.name.starts_with("aten::") || is_for_cpu(name.name)) continue;
    const std::optional<c10::OperatorHandle> op = dispatcher.findSchema(name);
    const auto has = [&](c10::DispatchKey key) { return op && op->hasKernelForDispatchKey(key); };
    if (!has(c10::DispatchKey::CPU) || has(c10::DispatchKey::PrivateUse1) ||
        has(c10::DispatchKey::CompositeImplicitAutograd))
      continue;
    const std::string overload = name.overload_name.empty() ? "" : "." + name.overload_name;
    aten.impl((name.name + overload).c_str(),
              torch::CppFunction::makeFromBoxedFunction<&compute>());
  }
}

}  // namespace

at::Device use_test_device() {
  static const bool registered = [] {
    c10::register_privateuse1_backend("testdev");
    c10::SetAllocator(at::kPrivateUse1, &test_device_allocator());
    at::RegisterPrivateUse1HooksInterface(new Hooks);
    register_kernels();
    return true;
  }();
  TORCH_CHECK(registered);
  return kTestDevice;
}

int64_t DeviceCounts::all_calls() const {
  int64_t sum = 0;
  for (const auto& [name, count] : calls) sum += count;
  return sum;
}

DeviceCounts device_counts() { return counter().counts(); }

void reset_device_counts() { counter().reset(); }

}  // namespace moecollab::testing
