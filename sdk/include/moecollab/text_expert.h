/* An expert in plain C that reads text and has nothing to learn: a table of labels and a function.
 *
 *   static const moec_string kLabels[] = {MOEC_LITERAL("question"), MOEC_LITERAL("statement")};
 *   static void score(moec_string text, float* logits) { ... }
 *   MOEC_TEXT_EXPERT("com.example.asks", "1.0.0", kLabels, score);
 *
 * C11, also valid C++17. For anything more, write moec_plugin_entry() against abi.h, or use
 * expert.hpp. */
#ifndef MOECOLLAB_TEXT_EXPERT_H_
#define MOECOLLAB_TEXT_EXPERT_H_

#include <moecollab/note.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A literal as a moec_string. */
#define MOEC_LITERAL(text) \
  { text, sizeof(text) - 1 }

struct moec_expert {
  int32_t classes;
};

/* What MOEC_TEXT_EXPERT() makes: the library's identity and its function. */
typedef struct moec_text_expert {
  moec_library_info info;
  /* Adds to logits [info.classes], which begin at 0, for a text; depends on the text alone.
   * [thread-safe] */
  void (*score)(moec_string text, float* logits);
} moec_text_expert;

/* Gives `code`, with `message` in *error if there is one that can hold it; error may be NULL. */
static inline moec_status moec_refuse(moec_error* error, moec_status code, const char* message) {
  if (error != NULL && MOEC_HAS(error, moec_error, message)) {
    error->code = code;
    snprintf(error->message, sizeof(error->message), "%s", message);
  }
  return code;
}

static inline moec_status moec_text_create(const moec_text_expert* self,
                                           const moec_create_info* info, moec_expert** expert,
                                           moec_error* error) {
  if (info == NULL || expert == NULL || !MOEC_HAS(info, moec_create_info, weights))
    return moec_refuse(error, MOEC_INVALID_ARGUMENT, "create() needs a complete info and a place");
  *expert = NULL;
  if (info->classes != self->info.classes) {
    char message[96];
    snprintf(message, sizeof(message), "this expert has %d labels, not %d", (int)self->info.classes,
             (int)info->classes);
    return moec_refuse(error, MOEC_INVALID_ARGUMENT, message);
  }
  if (info->inputs != MOEC_INPUT_TEXT)
    return moec_refuse(error, MOEC_INVALID_ARGUMENT, "this expert reads text only");
  if (info->weight_count != 0)
    return moec_refuse(error, MOEC_INVALID_ARGUMENT, "this expert has no weights");
  *expert = (moec_expert*)malloc(sizeof(moec_expert));
  if (*expert == NULL) return moec_refuse(error, MOEC_OUT_OF_MEMORY, "out of memory");
  (*expert)->classes = info->classes;
  return MOEC_OK;
}

static inline moec_status moec_text_requirements(moec_expert* expert, moec_requirements* out,
                                                 moec_error* error) {
  moec_requirements mine;
  uint32_t size;
  if (expert == NULL || out == NULL)
    return moec_refuse(error, MOEC_INVALID_ARGUMENT, "requirements() needs an expert and a place");
  size = out->struct_size;
  memset(&mine, 0, sizeof(mine));
  mine.struct_size = size;
  mine.classes = expert->classes;
  mine.inputs = MOEC_INPUT_TEXT;
  memcpy(out, &mine, size < sizeof(mine) ? size : sizeof(mine));
  return MOEC_OK;
}

static inline moec_status moec_text_forward(const moec_text_expert* self, moec_expert* expert,
                                            const moec_batch* batch, const moec_tensor* logits,
                                            moec_error* error) {
  int64_t row;
  if (expert == NULL || batch == NULL || !MOEC_HAS(batch, moec_batch, texts) || batch->rows < 1 ||
      batch->texts == NULL)
    return moec_refuse(error, MOEC_INVALID_ARGUMENT, "forward() needs a batch with texts");
  if (logits == NULL || logits->ndim != 2 || logits->shape[0] != batch->rows ||
      logits->shape[1] != expert->classes || logits->type_code != MOEC_FLOAT ||
      logits->type_bits != 32)
    return moec_refuse(error, MOEC_INVALID_ARGUMENT, "logits are not [rows, classes] float32");
  for (row = 0; row < batch->rows; ++row) {
    float* out = (float*)logits->data + row * expert->classes;
    memset(out, 0, (size_t)expert->classes * sizeof(float));
    self->score(batch->texts[row], out);
  }
  return MOEC_OK;
}

/* Makes `score_function` the library's expert. `label_array`: moec_string [], in the order of the
 * logits, which are all 0 when the function gets them. */
#define MOEC_TEXT_EXPERT(id, version, label_array, score_function)                                \
  MOEC_LIBRARY_NOTE(id, version);                                                                 \
  static const moec_text_expert moec_self = {                                                     \
      {sizeof(moec_library_info), MOEC_LITERAL(id), MOEC_LITERAL(version),                        \
       MOEC_LITERAL(MOEC_SDK_VERSION), (int32_t)(sizeof(label_array) / sizeof((label_array)[0])), \
       label_array},                                                                              \
      score_function};                                                                            \
  static const moec_library_info* moec_describe(void) { return &moec_self.info; }                 \
  static const void* moec_get_extension(const char* name) {                                       \
    (void)name;                                                                                   \
    return NULL;                                                                                  \
  }                                                                                               \
  static moec_status moec_create(const moec_host* host, const moec_create_info* info,             \
                                 moec_expert** expert, moec_error* error) {                       \
    (void)host;                                                                                   \
    return moec_text_create(&moec_self, info, expert, error);                                     \
  }                                                                                               \
  static moec_status moec_forward(moec_expert* expert, const moec_exec* exec,                     \
                                  const moec_batch* batch, const moec_tensor* logits,             \
                                  moec_error* error) {                                            \
    (void)exec;                                                                                   \
    return moec_text_forward(&moec_self, expert, batch, logits, error);                           \
  }                                                                                               \
  static void moec_destroy(moec_expert* expert) { free(expert); }                                 \
  const moec_library* moec_plugin_entry(void) {                                                   \
    static const moec_library library = {                                                         \
        sizeof(moec_library), MOEC_ABI_MAJOR,     MOEC_ABI_MINOR, MOEC_MIN_HOST_MINOR,            \
        moec_describe,        moec_get_extension, moec_create,    moec_text_requirements,         \
        moec_forward,         moec_destroy};                                                      \
    return &library;                                                                              \
  }                                                                                               \
  struct moec_expert /* takes the semicolon */

#endif /* MOECOLLAB_TEXT_EXPERT_H_ */
