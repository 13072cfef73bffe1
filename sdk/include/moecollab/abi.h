/* MoECollab expert ABI, version 1.0: what crosses between the host and an expert library.
 *
 * Plain C11 (also valid C++17), needs only libc. C++ authors use expert.hpp instead.
 *
 * A sentence that ends with "@rule NAME" binds whoever writes an expert; docs/contract.md says for
 * each which check of `moecollab validate` holds it against a library, or why none can.
 *
 * A library exports one symbol, moec_plugin_entry() @rule one-symbol, and carries an ABI note
 * (note.h) that hosts read before any of its code runs @rule has-note. One library makes any number
 * of experts, and none of them notices the others. @rule many-experts
 *
 * Growth: a struct that starts with `struct_size` may get new members at its end. Whoever fills it
 * sets struct_size to the size it knows and zeroes it first @rule struct-size-set; whoever reads it
 * reads a member only if MOEC_HAS() says that it lies inside, and takes a longer struct as it takes
 * its own. @rule struct-size-read Whoever fills a struct of the caller's writes no byte beyond its
 * struct_size, and leaves struct_size as it is. @rule struct-size-kept Such structs are never
 * passed in arrays. moec_tensor and moec_string are frozen for ever. Everything else new is an
 * extension, fetched by name.
 *
 * Threads: a comment's tag says who may call. [thread-safe]: any thread, any time.
 * @rule thread-safe [one call per object]: any thread, but no two calls on one expert at once.
 * @rule any-thread
 *
 * Lending: what a call is handed, and all that it points to, is lent until the call returns, unless
 * its comment says longer: it may be changed or freed then. @rule borrowed What an input points to
 * is not written. @rule const-is-read Memory is touched where the contract says that it is, and
 * nowhere else. @rule in-bounds
 *
 * Conduct: a library works on its own memory and leaves the process as it found it: locale, folder,
 * environment, umask, signals, timers, limits, priority, cores, rounding and flushing of floats,
 * the sequence of random(), LibTorch's generator and threads, memory that other processes see,
 * standard output, and descriptors that it did not open. @rule leaves-process It starts no process
 * @rule no-process, and no thread outlives destroy()
 * @rule no-thread. It writes no file, reads none of the user's, and opens no connection: what it
 * needs comes by create(). @rule no-files A call returns: no exception, exit() or endless loop
 * leaves it, whatever a text holds. @rule returns It says when memory runs out, and works again
 * when there is some. @rule no-memory destroy() frees all that create() and the calls made
 * @rule frees-all, and what a library keeps has a bound, however long a host runs.
 * @rule bounded-memory
 */
#ifndef MOECOLLAB_ABI_H_
#define MOECOLLAB_ABI_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MOEC_ABI_MAJOR 1u
#define MOEC_ABI_MINOR 0u
#define MOEC_SDK_VERSION "1.0.0"

#if defined(_WIN32)
#define MOEC_EXPORT __declspec(dllexport)
#else
#define MOEC_EXPORT __attribute__((visibility("default")))
#endif

/* Whether `member` lies inside the struct that `pointer` points to, as its filler knew it. */
#define MOEC_HAS(pointer, type, member) \
  ((pointer)->struct_size >= offsetof(type, member) + sizeof((pointer)->member))

/* Results. A status that the reader does not know means MOEC_INTERNAL; a library gives those below
 * only. @rule known-status On any error, outputs are undefined, inputs untouched and the expert as
 * before. */
typedef int32_t moec_status;
enum {
  MOEC_OK = 0,
  MOEC_INVALID_ARGUMENT = 1, /* the caller's values disagree with the contract */
  MOEC_UNSUPPORTED = 2,      /* this expert cannot do that */
  MOEC_OUT_OF_MEMORY = 3,
  MOEC_CANCELLED = 4, /* should_stop() said so */
  MOEC_INTERNAL = 5   /* a defect of the callee */
};

/* Borrowed bytes, UTF-8 if they are text; not NUL-terminated, and a 0 is a byte like any other.
 * @rule counted-bytes data may be NULL if size is 0. @rule empty-string */
typedef struct moec_string {
  const char* data;
  uint64_t size;
} moec_string;

/* Element types and devices, with DLPack's numbers. MOEC_EXT_DEV is a device that LibTorch calls
 * PrivateUse1. */
enum { MOEC_INT = 0, MOEC_UINT = 1, MOEC_FLOAT = 2, MOEC_BFLOAT = 4 };
enum { MOEC_CPU = 1, MOEC_CUDA = 2, MOEC_EXT_DEV = 12 };

/* A borrowed view with the memory layout of DLPack's DLTensor: row-major contiguous, strides (in
 * elements) never NULL unless ndim is 0, data 64-byte aligned. */
typedef struct moec_tensor {
  void* data;
  int32_t device_type; /* MOEC_CPU, … */
  int32_t device_id;
  int32_t ndim;
  uint8_t type_code; /* MOEC_FLOAT, … */
  uint8_t type_bits;
  uint16_t type_lanes; /* 1 */
  const int64_t* shape;
  const int64_t* strides;
  uint64_t byte_offset; /* 0 */
} moec_tensor;

/* Owned by the caller; may be NULL. @rule error-may-be-null Filled by the callee if and only if the
 * status is not MOEC_OK: code is that status, message says what, where and what helps.
 * @rule error-filled The host terminates and escapes the text. */
typedef struct moec_error {
  uint32_t struct_size;
  moec_status code;
  char message[512];
} moec_error;

/* What an expert reads: bits of `inputs`. */
enum {
  MOEC_INPUT_TEXT = 1u,
  MOEC_INPUT_TOKENS = 2u,
  MOEC_INPUT_HIDDEN = 4u,
  MOEC_INPUT_POOLED = 8u
};
enum { MOEC_POOLING_NONE = 0, MOEC_POOLING_MEAN = 1, MOEC_POOLING_CLS = 2 };
enum { MOEC_LAYOUT_RAGGED = 0 };

/* The shared encoder. Layer 0 is the embeddings' output, layer i the output of block i. */
typedef struct moec_encoder_info {
  uint32_t struct_size;
  int32_t layers;
  int32_t hidden;
  int32_t heads;
  int32_t intermediate;
  int32_t max_length; /* tokens, [CLS] and [SEP] included */
  double ln_eps;
  moec_string activation;
  moec_string fingerprint;
} moec_encoder_info;

/* A batch of texts. Tokens are packed without padding: row r owns tokens row_offsets[r] to
 * row_offsets[r + 1], two at least: [CLS] first, [SEP] last. Only what the expert asked for is
 * given; the rest is NULL. Any number of rows up to max_batch may come @rule any-batch, with texts
 * of any length, script and content, empty ones too. @rule any-text */
typedef struct moec_batch {
  uint32_t struct_size;
  uint32_t flags; /* 0 */
  int64_t rows;   /* n >= 1 */
  /* [n]; stable names of the rows, seed of per-row randomness; any numbers in any order.
   * @rule row-ids */
  const int64_t* row_ids;
  const moec_string* texts;         /* [n] */
  const int32_t* row_offsets;       /* [n + 1], from 0 to T */
  const moec_tensor* token_ids;     /* [T] int32 */
  uint64_t layer_count;             /* of the expert's own requirements */
  const moec_tensor* const* hidden; /* per layer: [T, H] float32 */
  const moec_tensor* const* pooled; /* per layer: [n, H] float32 */
} moec_batch;

/* How a call is to run. The device is where the callee may compute; it need not. Whatever it is,
 * the tensors of a call are in the host's memory (MOEC_CPU), and so is what is bound, unless the
 * library says otherwise (ext/draft/device.h): a callee that computes elsewhere copies, and returns
 * when its results have arrived. */
typedef struct moec_exec {
  uint32_t struct_size;
  int32_t device_type;
  int32_t device_id;
  int32_t threads; /* how many the call may use; those it starts end with it. @rule no-pool */
  void* stream;    /* of the device, for the callee's work; NULL: the callee's own choice */
  uint64_t seed;
  uint32_t training; /* 1: dropout and the like are on, in forward_train() and vjp() */
} moec_exec;

/* What the host gives to a library. Valid while the expert lives that was made with it; the next
 * one may get another. @rule host-of-expert */
typedef struct moec_host {
  uint32_t struct_size;
  uint32_t abi_major;
  uint32_t abi_minor;
  void* context; /* the host's own; pass the moec_host back unchanged @rule host-unchanged */
  /* The host's extension of that id, or NULL, which an expert survives. @rule host-lacks-extension
   * [thread-safe] */
  const void* (*get_extension)(const struct moec_host* host, const char* id);
  /* level: 0 debug, 1 note, 2 warning; message is whole UTF-8. @rule log-level [thread-safe] */
  void (*log)(const struct moec_host* host, int32_t level, moec_string message);
  /* Work done of total, for a long call; 0 <= done <= total. @rule progress [thread-safe] */
  void (*progress)(const struct moec_host* host, int64_t done, int64_t total);
  /* 1 if the callee should return MOEC_CANCELLED soon; nothing is half-written then. @rule cancel
   * [thread-safe] */
  int32_t (*should_stop)(const struct moec_host* host);
} moec_host;

/* What an expert is made from; borrowed for the call of create() only. Equal values make equal
 * experts. @rule made-of-info */
typedef struct moec_create_info {
  uint32_t struct_size;
  int32_t classes;
  uint32_t inputs; /* the manifest's [input] needs */
  int32_t pooling; /* the manifest's [input] pooling */
  uint64_t layer_count;
  const int32_t* layers;            /* the manifest's [input] layers, counted from the embeddings */
  const moec_encoder_info* encoder; /* NULL for an expert that uses none */
  moec_string config;               /* the manifest's [config] as a JSON object */
  uint64_t weight_count;            /* 0: nothing learnt yet */
  /* [weight_count], in any order: a weight is found by its name. @rule weights-by-name */
  const moec_string* weight_names;
  /* [weight_count] float32, finite; read from weights.safetensors. One that is missing or has
   * another shape is refused. @rule weights-fit */
  const moec_tensor* weights;
} moec_create_info;

/* What one expert needs and gives; must equal its manifest @rule requirements-true and may not
 * change in its life. @rule requirements-fixed Pointers are the expert's and live as long as it
 * does. @rule requirements-live */
typedef struct moec_requirements {
  uint32_t struct_size;
  int32_t classes;
  uint32_t inputs;
  int32_t pooling;
  int32_t layout;
  int64_t max_batch; /* rows; 0: any */
  uint64_t layer_count;
  const int32_t* layers; /* of hidden and pooled */
  /* Cost of forward() for a row of t tokens, 2 per multiply-add: per_row + t * per_token + t * t *
   * per_pair. All 0: not stated; never negative. @rule flops */
  int64_t flops_per_row;
  int64_t flops_per_token;
  int64_t flops_per_pair;
} moec_requirements;

/* What a library is, as its note says. @rule describe-true Strings live as long as the library.
 * @rule describe-live */
typedef struct moec_library_info {
  uint32_t struct_size;
  moec_string id; /* reverse-DNS */
  moec_string version;
  moec_string sdk;
  int32_t classes; /* fixed in code; 0: the manifest decides */
  /* [classes] fixed in code, as the manifest says; NULL: the manifest decides.
   * @rule fixed-labels */
  const moec_string* labels;
} moec_library_info;

typedef struct moec_expert moec_expert; /* the library's own */

/* A library's functions. Members are never NULL. @rule whole-table */
typedef struct moec_library {
  uint32_t struct_size;
  uint32_t abi_major;
  uint32_t abi_minor;      /* of the headers that it was built with */
  uint32_t min_host_minor; /* lowest host minor that it can live with, as the note says */
  /* Who the library is, as its note says. [thread-safe] */
  const moec_library_info* (*describe)(void);
  /* The library's extension of that id (ext/…), the same each time and whole @rule extension-fixed,
   * or NULL for every other id. @rule extension-unknown [thread-safe] */
  const void* (*get_extension)(const char* id);
  /* Makes an expert. Refuses an info that is NULL or does not fit @rule create-refuses; on error
   * *expert stays NULL. @rule create-leaves-null [thread-safe] */
  moec_status (*create)(const moec_host* host, const moec_create_info* info, moec_expert** expert,
                        moec_error* error);
  /* Fills *out up to its struct_size. [one call per object] */
  moec_status (*requirements)(moec_expert* expert, moec_requirements* out, moec_error* error);
  /* Writes every element of logits [n, classes] float32, which the host allocated @rule writes-all,
   * with finite numbers @rule finite, or with a distribution per row if the manifest's [output]
   * kind is "probabilities". @rule probabilities Refuses batch = NULL. @rule null-batch A row's
   * result depends on that row and what the expert was made from or has learnt alone: not on other
   * rows or their number, calls before, exec, thread, time, place or other experts @rule pure; it
   * is the same bits each time unless [output] deterministic = false. @rule same-bits
   * [one call per object] */
  moec_status (*forward)(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                         const moec_tensor* logits, moec_error* error);
  /* Takes the expert, which may be NULL. @rule destroy-null [one call per object] */
  void (*destroy)(moec_expert* expert);
} moec_library;

/* The one exported symbol. May be called more than once and gives the same table. @rule same-table
 * [thread-safe] */
MOEC_EXPORT const moec_library* moec_plugin_entry(void);

#ifdef __cplusplus
}
static_assert(sizeof(moec_tensor) == 48 && sizeof(moec_string) == 16, "frozen layouts");
#else
_Static_assert(sizeof(moec_tensor) == 48 && sizeof(moec_string) == 16, "frozen layouts");
#endif

#endif /* MOECOLLAB_ABI_H_ */
