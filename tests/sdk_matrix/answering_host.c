/* answering_host LIBRARY text|pooled CLASSES: makes an expert of the library, teaches it if it
 * learns by moecollab.fit/1, and prints its logits for a few rows, one line each. Compiles for
 * Linux and Windows, so that both can be compared. Exits 1, and says why, if a call fails. */
#include <moecollab/abi.h>
#include <moecollab/ext/fit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef const moec_library* (*moec_entry)(void);

#if defined(_WIN32)
#include <windows.h>
static moec_entry entry_of(const char* path) {
  HMODULE library = LoadLibraryA(path);
  if (library == NULL) return NULL;
  return (moec_entry)(void (*)(void))GetProcAddress(library, "moec_plugin_entry");
}
#else
#include <dlfcn.h>
static moec_entry entry_of(const char* path) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  void* symbol = library == NULL ? NULL : dlsym(library, "moec_plugin_entry");
  moec_entry entry;
  memcpy(&entry, &symbol, sizeof entry);
  return entry;
}
#endif

enum { kRows = 6, kWidth = 8, kMostClasses = 16 };
static const char* const kTexts[kRows] = {
    "Is the bakery open?", "The market closed higher.",   "",
    "Who won the match?",  "Scientists found a new star", "It rained. It rained."};

static const void* no_extension(const moec_host* host, const char* id) {
  (void)host, (void)id;
  return NULL;
}
static void no_log(const moec_host* host, int32_t level, moec_string message) {
  (void)host, (void)level, (void)message;
}
static void no_progress(const moec_host* host, int64_t done, int64_t total) {
  (void)host, (void)done, (void)total;
}
static int32_t never_stop(const moec_host* host) {
  (void)host;
  return 0;
}

static moec_error error;
static void need(int ok, const char* what) {
  if (ok) return;
  fprintf(stderr, "%s failed: %d %s\n", what, (int)error.code, error.message);
  exit(1);
}

static moec_tensor tensor(void* data, uint8_t type_code, int32_t ndim, const int64_t* shape,
                          const int64_t* strides) {
  moec_tensor t = {0};
  t.data = data;
  t.device_type = MOEC_CPU;
  t.ndim = ndim;
  t.type_code = type_code;
  t.type_bits = 32;
  t.type_lanes = 1;
  t.shape = shape;
  t.strides = strides;
  return t;
}

static _Alignas(64) float features[kRows * kWidth];
static _Alignas(64) float answers[kRows * kMostClasses];
static _Alignas(64) float weights[kRows];
static _Alignas(64) int32_t labels[kRows];
static const int64_t kOne[1] = {1}, kRowCount[1] = {kRows};
static const int64_t kFeatureShape[2] = {kRows, kWidth}, kFeatureStrides[2] = {kWidth, 1};

static void teach(const moec_library* library, moec_expert* expert, const moec_exec* exec,
                  const moec_batch* batch, int32_t classes) {
  const moec_ext_fit* fit = (const moec_ext_fit*)library->get_extension(MOEC_EXT_FIT);
  const moec_tensor y = tensor(labels, MOEC_INT, 1, kRowCount, kOne);
  const moec_tensor w = tensor(weights, MOEC_FLOAT, 1, kRowCount, kOne);
  int32_t more = 0;
  if (fit == NULL) return;
  for (int row = 0; row < kRows; ++row) {
    labels[row] = row % classes;
    weights[row] = 1;
  }
  need(fit->fit_begin(expert, exec, kRows, 1, 1, &error) == MOEC_OK, "fit_begin()");
  need(fit->fit_batch(expert, exec, batch, &y, &w, &error) == MOEC_OK, "fit_batch()");
  need(fit->fit_epoch_end(expert, exec, &more, &error) == MOEC_OK, "fit_epoch_end()");
  need(fit->fit_end(expert, &error) == MOEC_OK, "fit_end()");
}

static moec_expert* made(const moec_library* library, int reads_text, int32_t classes) {
  static const moec_host host = {sizeof host,  MOEC_ABI_MAJOR, MOEC_ABI_MINOR, NULL,
                                 no_extension, no_log,         no_progress,    never_stop};
  static const int32_t last_layer = 6;
  moec_encoder_info encoder = {0};
  moec_create_info info = {0};
  moec_expert* expert = NULL;
  encoder.struct_size = sizeof encoder;
  encoder.layers = last_layer;
  encoder.hidden = kWidth;
  encoder.max_length = 256;
  info.struct_size = sizeof info;
  info.classes = classes;
  info.inputs = reads_text ? MOEC_INPUT_TEXT : MOEC_INPUT_POOLED;
  info.pooling = reads_text ? MOEC_POOLING_NONE : MOEC_POOLING_MEAN;
  info.layer_count = reads_text ? 0 : 1;
  info.layers = reads_text ? NULL : &last_layer;
  info.encoder = reads_text ? NULL : &encoder;
  info.config.data = "{}";
  info.config.size = 2;
  need(library->create(&host, &info, &expert, &error) == MOEC_OK, "create()");
  return expert;
}

static void answer(const moec_library* library, moec_expert* expert, int reads_text,
                   int32_t classes) {
  const moec_tensor pooled = tensor(features, MOEC_FLOAT, 2, kFeatureShape, kFeatureStrides);
  const moec_tensor* const layers[1] = {&pooled};
  const int64_t shape[2] = {kRows, classes}, strides[2] = {classes, 1};
  const moec_tensor logits = tensor(answers, MOEC_FLOAT, 2, shape, strides);
  moec_string texts[kRows];
  int64_t row_ids[kRows];
  moec_exec exec = {0};
  moec_batch batch = {0};
  for (int i = 0; i < kRows; ++i) {
    row_ids[i] = 100 + i;
    texts[i].data = kTexts[i];
    texts[i].size = strlen(kTexts[i]);
    for (int k = 0; k < kWidth; ++k)
      features[i * kWidth + k] = (float)((i * 7 + k * 5) % 11 - 5) / 4;
  }
  exec.struct_size = sizeof exec;
  exec.device_type = MOEC_CPU;
  exec.threads = 1;
  batch.struct_size = sizeof batch;
  batch.rows = kRows;
  batch.row_ids = row_ids;
  batch.texts = reads_text ? texts : NULL;
  batch.layer_count = reads_text ? 0 : 1;
  batch.pooled = reads_text ? NULL : layers;
  teach(library, expert, &exec, &batch, classes);
  need(library->forward(expert, &exec, &batch, &logits, &error) == MOEC_OK, "forward()");
}

int main(int argc, char** argv) {
  const int32_t classes = argc == 4 ? atoi(argv[3]) : 0;
  const int reads_text = argc == 4 && strcmp(argv[2], "text") == 0;
  if (classes < 1 || classes > kMostClasses) {
    fprintf(stderr, "answering_host LIBRARY text|pooled CLASSES (at most %d)\n", kMostClasses);
    return 2;
  }
  error.struct_size = sizeof error;
  const moec_entry entry = entry_of(argv[1]);
  need(entry != NULL, "loading the library");
  const moec_library* library = entry();
  moec_expert* expert = made(library, reads_text, classes);
  answer(library, expert, reads_text, classes);
  for (int row = 0; row < kRows; ++row) {
    for (int32_t c = 0; c < classes; ++c)
      printf("%s%.5f", c == 0 ? "" : " ", answers[row * classes + c]);
    printf("\n");
  }
  library->destroy(expert);
  return 0;
}
