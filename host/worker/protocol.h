// What crosses between the host and an expert's process.
//
// The host sends a Call over a socket and gets Replies; what a call reads and writes lies in two
// regions (memory.h): `in`, which only the host writes, and `out`, which both write. Offsets are
// the host's. A Reply is one message of fixed size, whose numbers the host checks before it uses
// them; nothing else comes back.
#pragma once

#include <atomic>
#include <cstdint>

namespace moecollab::worker {

// The same on both sides; a program that was replaced while it runs is seen by it.
inline constexpr uint32_t kProtocol = 2;

// Descriptors that an expert's process begins with.
inline constexpr int kSocket = 3, kIn = 4, kOut = 5, kLibrary = 6, kDescriptors = 7;

enum class Op : uint32_t {
  kLoad,       // `labels` are the manifest's
  kCreate,     // `create`; gives facts
  kParameter,  // `number`: which; gives parameter
  kBind,       // `list`: values, then gradients
  kInit,       // `number`: seed
  kParamsChanged,
  kForward,       // `batch`; writes tensors[0]
  kForwardTrain,  // the same; gives the number of what it saved
  kVjp,           // `number`: of what was saved; reads tensors[0]
  kRelease,       // `number`: of what was saved
  kFitBegin,      // `rows`, `epochs`; `number`: seed
  kFitBatch,      // `batch`, labels and weights in tensors
  kFitEpochEnd,   // gives whether another epoch is wanted
  kFitEnd,
  kState,       // `number`: which; gives parameter
  kReadState,   // `number`: which; writes tensors[0]
  kBottleneck,  // writes `list`: the six arrays of ext/draft/bottleneck.h in their order
  kExplain,     // `batch` of one row, `epochs`: class; writes `rows` moec_evidence at `list`; gives
                // how many
};

inline constexpr int kMostDimensions = 8;
inline constexpr int kMostLayers = 256;

struct WireText {
  uint64_t offset = 0, size = 0;
};

struct WireTensor {
  uint64_t offset = 0;
  uint32_t in_out = 0;  // 1: it lies in `out`
  int32_t type_code = 0, ndim = 0;
  int64_t shape[kMostDimensions] = {}, strides[kMostDimensions] = {};
};

struct WireWeight {
  WireText name;
  WireTensor tensor;
};

// Offsets in `in`; 0: not there.
struct WireBatch {
  int64_t rows = 0;
  uint64_t row_ids = 0, texts = 0, row_offsets = 0;
  uint64_t tokens = 0, hidden = 0, pooled = 0;  // arrays of WireTensor: 1, layers, layers
  uint64_t layers = 0;
};

struct WireExec {
  int32_t device_type = 1, device_id = 0, threads = 1;
  uint32_t training = 0;
  uint64_t seed = 0;
};

struct WireCreate {
  int32_t classes = 0, pooling = 0;
  uint32_t inputs = 0;
  uint32_t has_encoder = 0;
  uint64_t layer_count = 0, layers = 0;
  int32_t encoder_layers = 0, hidden = 0, heads = 0, intermediate = 0, max_length = 0;
  int32_t bf16 = 0;  // what training computes in
  double ln_eps = 0;
  WireText activation, fingerprint, config;
  uint64_t weight_count = 0, weights = 0;  // WireWeight
};

struct Call {
  Op op = Op::kLoad;
  uint32_t epochs = 0;
  uint64_t sequence = 0;
  uint64_t number = 0;
  int64_t rows = 0;
  WireExec exec;
  WireBatch batch;
  WireTensor tensors[2];
  uint64_t list = 0, list_count = 0;     // WireTensor
  uint64_t labels = 0, label_count = 0;  // WireText
  WireCreate create;
};

// What is known of an object that was made.
struct WireFacts {
  int32_t classes = 0, pooling = 0, layout = 0;
  uint32_t inputs = 0, trains = 0, fits = 0;
  uint32_t explains = 0;
  uint32_t wants_engine = 0;  // it asked a host without the engine for what only that offers
  int64_t max_batch = 0;
  uint64_t layer_count = 0;
  int32_t layers[kMostLayers] = {};
  int64_t flops_per_row = 0, flops_per_token = 0, flops_per_pair = 0;
  uint64_t parameters = 0, states = 0;
  int64_t bottleneck = 0, bottleneck_features = 0, bottleneck_classes = 0;  // 0: it has none
};

struct WireParameter {
  char name[256] = {};
  int32_t ndim = 0;
  int64_t shape[kMostDimensions] = {};
  uint32_t trainable = 0, decay = 0;
  float lr_scale = 0;
};

enum class ReplyKind : uint32_t { kHello, kDone, kNote, kWarning };

// kHello comes first: `number` is kProtocol, `status` the sandbox's level. A kDone ends a call.
struct Reply {
  ReplyKind kind = ReplyKind::kDone;
  int32_t status = 0;  // moec_status
  uint64_t sequence = 0;
  uint64_t number = 0;
  char code[24] = {};  // of a refusal by the process's own code; "": the expert's status counts
  char message[512] = {};
  WireFacts facts;
  WireParameter parameter;
};

// At the beginning of `in`.
struct InHeader {
  std::atomic<bool> stop{false};  // the expert is to end the call that it is in
};

// At the beginning of `out`.
struct OutHeader {
  std::atomic<int32_t> denied{-1};  // the first system call that the sandbox refused
};

}  // namespace moecollab::worker
