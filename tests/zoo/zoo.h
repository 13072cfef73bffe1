/* A well-behaved expert in C that reads texts. Each file of the zoo puts a function of its own in
 * the place of one of these, and that one misbehaves:
 *
 *   #define ZOO_SCORE score
 *   #include "zoo.h"
 *   static void score(const moec_expert* e, const moec_batch* batch, int64_t row, float* out) {…}
 *
 * Functions that can be replaced so (their signatures stand below):
 *   ZOO_DESCRIBE, ZOO_GET_EXTENSION, ZOO_CREATE, ZOO_REQUIREMENTS, ZOO_FORWARD, ZOO_DESTROY  whole
 *   ZOO_MAKE           called at the end of create()
 *   ZOO_SCORE          writes the logits of one row
 *   ZOO_AFTER_FORWARD  called with the finished logits
 * Values: ZOO_ID, ZOO_VERSION, ZOO_LABELS (fixed in code), ZOO_MAX_BATCH, ZOO_INPUTS (text, or
 * pooled with a ZOO_SCORE of its own), ZOO_TAKES_WEIGHTS (1: ZOO_MAKE reads them). ZOO_ENTRY
 * (anything): the file writes moec_plugin_entry() itself. zoo_linear.h and zoo_means.h make experts
 * of this one that can be trained.
 *
 * C11 with what POSIX adds (-std=gnu11), and C++17. */
#ifndef ZOO_H_
#define ZOO_H_

#include <moecollab/note.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef ZOO_ID
#define ZOO_ID "org.moecollab.zoo"
#endif
#ifndef ZOO_VERSION
#define ZOO_VERSION "1.0.0"
#endif
#ifndef ZOO_INPUTS
#define ZOO_INPUTS MOEC_INPUT_TEXT
#endif
#ifndef ZOO_MAX_BATCH
#define ZOO_MAX_BATCH 0
#endif
#ifndef ZOO_TAKES_WEIGHTS
#define ZOO_TAKES_WEIGHTS 0
#endif

/* A literal as a moec_string. */
#define ZOO_STRING(text) \
  { text, sizeof(text) - 1 }

MOEC_LIBRARY_NOTE(ZOO_ID, ZOO_VERSION);

struct moec_expert {
  const moec_host* host; /* NULL if the caller gave none */
  int32_t classes;
  int32_t pooling;
  int32_t layer; /* of a reader of features */
  int64_t width; /* of the features */
  int64_t calls; /* of forward() */
  void* own;     /* freed with the expert */
};

static inline moec_status zoo_refuse(moec_error* error, moec_status code, const char* message) {
  if (error != NULL && MOEC_HAS(error, moec_error, message)) {
    error->code = code;
    snprintf(error->message, sizeof(error->message), "%s", message);
  }
  return code;
}

/* --- the library ------------------------------------------------------------------------------ */

#ifdef ZOO_LABELS
static const moec_string zoo_labels[] = {ZOO_LABELS};
enum { kFixedClasses = sizeof(zoo_labels) / sizeof(zoo_labels[0]) };
#else
static const moec_string* const zoo_labels = NULL;
enum { kFixedClasses = 0 };
#endif

static inline const moec_library_info* zoo_describe(void) {
  static const moec_library_info info = {
      sizeof(moec_library_info),    ZOO_STRING(ZOO_ID), ZOO_STRING(ZOO_VERSION),
      ZOO_STRING(MOEC_SDK_VERSION), kFixedClasses,      zoo_labels};
  return &info;
}

static inline const void* zoo_get_extension(const char* id) {
  (void)id;
  return NULL;
}

/* The weight of that name in weights.safetensors, or NULL. */
static inline const moec_tensor* zoo_find_weight(const moec_create_info* info, const char* name) {
  for (uint64_t i = 0; i < info->weight_count; ++i) {
    const moec_string found = info->weight_names[i];
    if (found.size == strlen(name) && memcmp(found.data, name, found.size) == 0)
      return &info->weights[i];
  }
  return NULL;
}

/* --- making an expert ------------------------------------------------------------------------- */

#ifdef ZOO_MAKE
static moec_status ZOO_MAKE(moec_expert* expert, const moec_create_info* info, moec_error* error);
#else
#define ZOO_MAKE(expert, info, error) MOEC_OK
#endif

static inline const char* zoo_info_fault(const moec_create_info* info) {
  if (info->classes < 1) return "an expert needs at least one class";
  if (kFixedClasses != 0 && info->classes != kFixedClasses) return "the labels are fixed in code";
  if (info->inputs != ZOO_INPUTS) return "the manifest asks for other inputs than the library";
  if (ZOO_INPUTS != MOEC_INPUT_TEXT && info->encoder == NULL) return "no encoder is given";
  if (ZOO_INPUTS != MOEC_INPUT_TEXT && info->layer_count != 1) return "this expert reads one layer";
  if (!ZOO_TAKES_WEIGHTS && info->weight_count != 0) return "this expert has no weights";
  return NULL;
}

static inline void zoo_destroy(moec_expert* expert) {
  if (expert != NULL) free(expert->own);
  free(expert);
}

static inline moec_status zoo_create(const moec_host* host, const moec_create_info* info,
                                     moec_expert** expert, moec_error* error) {
  if (info == NULL || expert == NULL || !MOEC_HAS(info, moec_create_info, weights))
    return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "create() needs a complete info and a place");
  *expert = NULL;
  const char* fault = zoo_info_fault(info);
  if (fault != NULL) return zoo_refuse(error, MOEC_INVALID_ARGUMENT, fault);
  moec_expert* made = (moec_expert*)calloc(1, sizeof(moec_expert));
  if (made == NULL) return zoo_refuse(error, MOEC_OUT_OF_MEMORY, "out of memory");
  made->host = host;
  made->classes = info->classes;
  made->pooling = info->pooling;
  if (info->layer_count > 0) made->layer = info->layers[0];
  if (info->encoder != NULL) made->width = info->encoder->hidden;
  const moec_status status = ZOO_MAKE(made, info, error);
  if (status != MOEC_OK) {
    zoo_destroy(made);
    return status;
  }
  *expert = made;
  return MOEC_OK;
}

/* --- what it needs ---------------------------------------------------------------------------- */

static inline moec_requirements zoo_needs(const moec_expert* expert) {
  moec_requirements needs;
  memset(&needs, 0, sizeof(needs));
  needs.classes = expert->classes;
  needs.inputs = ZOO_INPUTS;
  needs.pooling = expert->pooling;
  needs.max_batch = ZOO_MAX_BATCH;
  needs.layer_count = ZOO_INPUTS == MOEC_INPUT_TEXT ? 0 : 1;
  needs.layers = needs.layer_count == 0 ? NULL : &expert->layer;
  return needs;
}

/* Copies the members that the reader knows. */
static inline void zoo_hand_out(moec_requirements needs, moec_requirements* out) {
  needs.struct_size = out->struct_size;
  memcpy(out, &needs, out->struct_size < sizeof(needs) ? out->struct_size : sizeof(needs));
}

static inline moec_status zoo_requirements(moec_expert* expert, moec_requirements* out,
                                           moec_error* error) {
  if (expert == NULL || out == NULL)
    return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "requirements() needs an expert and a place");
  zoo_hand_out(zoo_needs(expert), out);
  return MOEC_OK;
}

/* --- running it ------------------------------------------------------------------------------- */

#ifdef ZOO_SCORE
static void ZOO_SCORE(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out);
#else
#define ZOO_SCORE zoo_score
#endif
#ifdef ZOO_AFTER_FORWARD
static void ZOO_AFTER_FORWARD(moec_expert* expert, const moec_batch* batch, float* logits);
#else
#define ZOO_AFTER_FORWARD(expert, batch, logits) (void)0
#endif

/* Numbers from a text's bytes: they mean nothing, but other texts give others. */
static inline void zoo_score_text(int32_t classes, moec_string text, float* out) {
  for (int32_t c = 0; c < classes; ++c) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < text.size; ++i)
      sum += ((unsigned char)text.data[i] * (uint32_t)(c + 3)) % 7u;
    out[c] = (float)sum / ((float)text.size + 1);
  }
}

static inline void zoo_score(const moec_expert* expert, const moec_batch* batch, int64_t row,
                             float* out) {
  zoo_score_text(expert->classes, batch->texts[row], out);
}

/* The row's features [width]. */
static inline float* zoo_features(const moec_expert* expert, const moec_batch* batch, int64_t row) {
  return (float*)batch->pooled[0]->data + row * expert->width;
}

static inline const char* zoo_batch_fault(const moec_expert* expert, const moec_batch* batch) {
  if (expert == NULL) return "the expert is null";
  if (batch == NULL || !MOEC_HAS(batch, moec_batch, pooled)) return "the batch is null or too old";
  if (batch->rows < 1) return "the batch has no rows";
  if (ZOO_MAX_BATCH != 0 && batch->rows > ZOO_MAX_BATCH) return "the batch has too many rows";
  if ((ZOO_INPUTS & MOEC_INPUT_TEXT) != 0 && batch->texts == NULL) return "the batch has no texts";
  if ((ZOO_INPUTS & MOEC_INPUT_TOKENS) != 0 &&
      (batch->row_offsets == NULL || batch->token_ids == NULL))
    return "the batch has no tokens";
  if ((ZOO_INPUTS & MOEC_INPUT_HIDDEN) != 0 &&
      (batch->row_offsets == NULL || batch->layer_count != 1 || batch->hidden == NULL ||
       batch->hidden[0]->ndim != 2 || batch->hidden[0]->shape[1] != expert->width))
    return "the batch has no token states [tokens, hidden] of one layer";
  if ((ZOO_INPUTS & MOEC_INPUT_POOLED) != 0 &&
      (batch->layer_count != 1 || batch->pooled == NULL || batch->pooled[0]->ndim != 2 ||
       batch->pooled[0]->shape[0] != batch->rows || batch->pooled[0]->shape[1] != expert->width))
    return "the batch has no features [rows, hidden] of one layer";
  return NULL;
}

static inline const char* zoo_call_fault(const moec_expert* expert, const moec_batch* batch,
                                         const moec_tensor* logits) {
  const char* fault = zoo_batch_fault(expert, batch);
  if (fault != NULL) return fault;
  if (logits == NULL || logits->data == NULL || logits->ndim != 2 ||
      logits->shape[0] != batch->rows || logits->shape[1] != expert->classes ||
      logits->type_code != MOEC_FLOAT || logits->type_bits != 32)
    return "logits are not [rows, classes] float32";
  return NULL;
}

static inline moec_status zoo_forward(moec_expert* expert, const moec_exec* exec,
                                      const moec_batch* batch, const moec_tensor* logits,
                                      moec_error* error) {
  (void)exec;
  const char* fault = zoo_call_fault(expert, batch, logits);
  if (fault != NULL) return zoo_refuse(error, MOEC_INVALID_ARGUMENT, fault);
  float* out = (float*)logits->data;
  ++expert->calls;
  for (int64_t row = 0; row < batch->rows; ++row)
    ZOO_SCORE(expert, batch, row, out + row * expert->classes);
  ZOO_AFTER_FORWARD(expert, batch, out);
  return MOEC_OK;
}

/* --- the table -------------------------------------------------------------------------------- */

#ifndef ZOO_DESCRIBE
#define ZOO_DESCRIBE zoo_describe
#endif
#ifndef ZOO_GET_EXTENSION
#define ZOO_GET_EXTENSION zoo_get_extension
#endif
#ifndef ZOO_CREATE
#define ZOO_CREATE zoo_create
#endif
#ifndef ZOO_REQUIREMENTS
#define ZOO_REQUIREMENTS zoo_requirements
#endif
#ifndef ZOO_FORWARD
#define ZOO_FORWARD zoo_forward
#endif
#ifndef ZOO_DESTROY
#define ZOO_DESTROY zoo_destroy
#endif

static const moec_library_info* ZOO_DESCRIBE(void);
static const void* ZOO_GET_EXTENSION(const char* id);
static moec_status ZOO_CREATE(const moec_host* host, const moec_create_info* info,
                              moec_expert** expert, moec_error* error);
static moec_status ZOO_REQUIREMENTS(moec_expert* expert, moec_requirements* out, moec_error* error);
static moec_status ZOO_FORWARD(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                               const moec_tensor* logits, moec_error* error);
static void ZOO_DESTROY(moec_expert* expert);

static const moec_library zoo_table = {
    sizeof(moec_library), MOEC_ABI_MAJOR, MOEC_ABI_MINOR,   MOEC_MIN_HOST_MINOR, ZOO_DESCRIBE,
    ZOO_GET_EXTENSION,    ZOO_CREATE,     ZOO_REQUIREMENTS, ZOO_FORWARD,         ZOO_DESTROY};

#ifndef ZOO_ENTRY
const moec_library* moec_plugin_entry(void) { return &zoo_table; }
#endif

#endif /* ZOO_H_ */
