/* A worthless expert in plain C: with "mode":"constant" in its config it says class 0 to every
 * text, with "mode":"random" it gives each class a logit drawn from text, class and "seed". Both
 * are deterministic, and neither reads what a text means. */
#include <moecollab/note.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

MOEC_LIBRARY_NOTE("org.moecollab.test.stub", "1.0.0");

struct moec_expert {
  int32_t classes;
  int constant;
  uint64_t seed;
};

static const float kConfident = 4.0f; /* the greatest logit of either mode */

static moec_status refuse(moec_error* error, moec_status code, const char* message) {
  if (error != NULL && MOEC_HAS(error, moec_error, message)) {
    error->code = code;
    snprintf(error->message, sizeof(error->message), "%s", message);
  }
  return code;
}

static const moec_library_info* describe(void) {
  static const moec_library_info info = {sizeof(moec_library_info),
                                         {"org.moecollab.test.stub", 23},
                                         {"1.0.0", 5},
                                         {MOEC_SDK_VERSION, sizeof(MOEC_SDK_VERSION) - 1},
                                         0,
                                         NULL};
  return &info;
}

static const void* get_extension(const char* id) {
  (void)id;
  return NULL;
}

/* The text behind "key": in a flat JSON object, or NULL. */
static const char* value_of(const char* json, const char* key) {
  const char* at = strstr(json, key);
  return at == NULL ? NULL : at + strlen(key);
}

static moec_status create(const moec_host* host, const moec_create_info* info, moec_expert** expert,
                          moec_error* error) {
  (void)host;
  char json[256] = "";
  if (info == NULL || expert == NULL || !MOEC_HAS(info, moec_create_info, weights)) {
    return refuse(error, MOEC_INVALID_ARGUMENT, "create() needs a complete info and a place");
  }
  *expert = NULL;
  if (info->config.size >= sizeof(json)) {
    return refuse(error, MOEC_INVALID_ARGUMENT, "the config is longer than 255 bytes");
  }
  memcpy(json, info->config.data, info->config.size);
  const char* mode = value_of(json, "\"mode\":");
  const char* seed = value_of(json, "\"seed\":");
  if (mode == NULL ||
      (strncmp(mode, "\"constant\"", 10) != 0 && strncmp(mode, "\"random\"", 8) != 0)) {
    return refuse(error, MOEC_INVALID_ARGUMENT, "config needs mode = \"constant\" or \"random\"");
  }
  *expert = malloc(sizeof(**expert));
  if (*expert == NULL) return refuse(error, MOEC_OUT_OF_MEMORY, "out of memory");
  (*expert)->classes = info->classes;
  (*expert)->constant = mode[1] == 'c';
  (*expert)->seed = seed == NULL ? 0 : strtoull(seed, NULL, 10);
  return MOEC_OK;
}

static moec_status requirements(moec_expert* expert, moec_requirements* out, moec_error* error) {
  if (expert == NULL || out == NULL) return refuse(error, MOEC_INVALID_ARGUMENT, "a null argument");
  moec_requirements mine;
  memset(&mine, 0, sizeof(mine));
  mine.struct_size = out->struct_size;
  mine.classes = expert->classes;
  mine.inputs = MOEC_INPUT_TEXT;
  memcpy(out, &mine, out->struct_size < sizeof(mine) ? out->struct_size : sizeof(mine));
  return MOEC_OK;
}

/* FNV-1a over the text, then mixed with seed and class (SplitMix64). */
static uint64_t draw(moec_string text, uint64_t seed, int32_t label) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (uint64_t i = 0; i < text.size; ++i) {
    hash = (hash ^ (unsigned char)text.data[i]) * 0x100000001b3u;
  }
  hash += (seed * 1000003u + (uint64_t)label + 1) * 0x9E3779B97F4A7C15u;
  hash = (hash ^ (hash >> 30)) * 0xBF58476D1CE4E5B9u;
  hash = (hash ^ (hash >> 27)) * 0x94D049BB133111EBu;
  return hash ^ (hash >> 31);
}

static moec_status forward(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                           const moec_tensor* logits, moec_error* error) {
  (void)exec;
  if (expert == NULL || batch == NULL || !MOEC_HAS(batch, moec_batch, texts) || batch->rows < 1 ||
      batch->texts == NULL) {
    return refuse(error, MOEC_INVALID_ARGUMENT, "forward() needs an expert and a batch with texts");
  }
  if (logits == NULL || logits->ndim != 2 || logits->shape[0] != batch->rows ||
      logits->shape[1] != expert->classes) {
    return refuse(error, MOEC_INVALID_ARGUMENT, "logits are not [rows, classes]");
  }
  float* out = logits->data;
  for (int64_t row = 0; row < batch->rows; ++row) {
    for (int32_t c = 0; c < expert->classes; ++c) {
      const float unit = (float)(draw(batch->texts[row], expert->seed, c) >> 40) / 16777216.0f;
      *out++ = expert->constant ? (c == 0 ? kConfident : 0.0f) : kConfident * unit;
    }
  }
  return MOEC_OK;
}

static void destroy(moec_expert* expert) { free(expert); }

const moec_library* moec_plugin_entry(void) {
  static const moec_library library = {sizeof(moec_library),
                                       MOEC_ABI_MAJOR,
                                       MOEC_ABI_MINOR,
                                       MOEC_MIN_HOST_MINOR,
                                       describe,
                                       get_extension,
                                       create,
                                       requirements,
                                       forward,
                                       destroy};
  return &library;
}
