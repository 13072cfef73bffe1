#include "worker/engine_side.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <moecollab/ext/draft/precision.h>

#include <optional>

#include "encoder/encoder.h"
#include "experts/host_services.h"

namespace moecollab::worker {
namespace {

class LineSink final : public LogSink {
 public:
  explicit LineSink(HostLine& line) : line_(line) {}
  // The host names the expert itself.
  void write(const Message& message) override {
    line_.say(message.level == Message::Level::kWarning ? ReplyKind::kWarning : ReplyKind::kNote,
              message.text);
  }

 private:
  HostLine& line_;
};

class EngineHost final : public ExpertHost {
 public:
  EngineHost(HostLine& line, const SharedMemory& in, const encoder::Encoder* encoder)
      : sink_(line) {
    setup_.encoder_weights = encoder;
    setup_.context.log = Log(sink_);
    setup_.context.stop = StopToken(reinterpret_cast<const InHeader*>(in.at(0))->stop);
    services_.emplace(setup_);
  }
  void set_precision(int32_t precision) override {
    setup_.training = precision == MOEC_PRECISION_BF16 ? Precision::kBf16 : Precision::kFp32;
    services_.emplace(setup_);
  }
  const moec_host& table() const override { return services_->table(); }
  bool lacked_engine() const override { return false; }

 private:
  LineSink sink_;
  experts::ExpertSetup setup_;
  std::optional<experts::HostServices> services_;
};

class Engine final : public EngineSide {
 public:
  void prepare(const EngineArguments& arguments) override {
    at::set_num_threads(1);  // a thread that is started now would stay outside of the sandbox
    warm_up();
    if (!arguments.encoder.empty()) {
      encoder::EncoderSettings settings;
      settings.folder = arguments.encoder;
      settings.max_length = arguments.max_length;
      settings.special_tokens = arguments.literal_special_tokens ? text::SpecialTokens::kLiteral
                                                                 : text::SpecialTokens::kSplit;
      Compute compute;
      compute.threads = arguments.threads;
      encoder_.emplace(settings, compute, arguments.batch_tokens, nullptr, RunContext());
      encoder_->weight("");  // reads the file
    }
    at::set_num_threads(arguments.threads);
  }
  std::unique_ptr<ExpertHost> host(HostLine& line, const SharedMemory& in) override {
    return std::make_unique<EngineHost>(line, in, encoder_ ? &*encoder_ : nullptr);
  }
  std::string processor() const override { return at::get_cpu_capability(); }

 private:
  // An operator of each library that looks at the processor, and a random number.
  static void warm_up() {
    const at::NoGradGuard no_grad;
    const at::Tensor x = at::rand({8, 8});
    at::layer_norm(at::gelu(at::addmm(x, x, x)), {8}).softmax(1).sum().item<float>();
  }

  std::optional<encoder::Encoder> encoder_;
};

}  // namespace

EngineSide& engine_side() {
  static Engine engine;
  return engine;
}

}  // namespace moecollab::worker
