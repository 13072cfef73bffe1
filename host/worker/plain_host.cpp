#include <moecollab/ext/draft/blocks.h>
#include <moecollab/ext/draft/precision.h>
#include <moecollab/ext/encoder.h>

#include <algorithm>
#include <string_view>

#include "worker/service.h"

namespace moecollab::worker {
namespace {

class PlainHost final : public ExpertHost {
 public:
  PlainHost(HostLine& line, const SharedMemory& in)
      : line_(line), stop_(reinterpret_cast<const InHeader*>(in.at(0))->stop) {}

  void set_precision(int32_t precision) override { precision_ = precision; }
  const moec_host& table() const override { return table_; }
  bool lacked_engine() const override { return lacked_engine_; }

 private:
  static PlainHost& own(const moec_host* host) { return *static_cast<PlainHost*>(host->context); }

  static int32_t training_precision(const moec_host* host) { return own(host).precision_; }
  static const void* get_extension(const moec_host* host, const char* id) {
    static constexpr moec_ext_precision kPrecision = {sizeof(moec_ext_precision),
                                                      &training_precision};
    const std::string_view asked = id;
    if (asked == MOEC_EXT_ENCODER || asked == MOEC_EXT_BLOCKS) own(host).lacked_engine_ = true;
    return asked == MOEC_EXT_PRECISION ? &kPrecision : nullptr;
  }
  static void log(const moec_host* host, int32_t level, moec_string message) {
    if (level < 1) return;
    own(host).line_.say(level >= 2 ? ReplyKind::kWarning : ReplyKind::kNote,
                        {message.data, message.size});
  }
  static void progress(const moec_host*, int64_t, int64_t) {}
  static int32_t should_stop(const moec_host* host) { return own(host).stop_ ? 1 : 0; }

  HostLine& line_;
  const std::atomic<bool>& stop_;
  std::atomic<int32_t> precision_{MOEC_PRECISION_FP32};
  std::atomic<bool> lacked_engine_{false};
  const moec_host table_{sizeof(moec_host), MOEC_ABI_MAJOR, MOEC_ABI_MINOR, this,
                         &get_extension,    &log,           &progress,      &should_stop};
};

}  // namespace

void HostLine::say(ReplyKind kind, std::string_view text) {
  Reply reply;
  reply.kind = kind;
  reply.message[text.copy(reply.message, sizeof reply.message - 1)] = '\0';
  send(reply);
}

std::unique_ptr<ExpertHost> plain_host(HostLine& line, const SharedMemory& in) {
  return std::make_unique<PlainHost>(line, in);
}

}  // namespace moecollab::worker
