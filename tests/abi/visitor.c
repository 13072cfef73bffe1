/* An expert of any release: its two logits say what it saw of the host. Logit 0: 1 if the batch
 * carried the member that a later minor added, else 0. Logit 1: the host's minor as it was given.
 */
#include <moecollab/note.h>
#include <stdlib.h>
#include <string.h>
#if MOEC_ABI_MAJOR > 0 && MOEC_ABI_MINOR > 0
#include <moecollab/ext/future.h>
static int32_t answer(void) { return 42; }
static const moec_future kFuture = {sizeof(moec_future), answer};
#endif

MOEC_LIBRARY_NOTE("org.moecollab.test.visitor", "1.0.0");

struct moec_expert {
  uint32_t host_minor;
};

static const moec_library_info* describe(void) {
  static const moec_library_info info = {sizeof(moec_library_info),
                                         {"org.moecollab.test.visitor", 26},
                                         {"1.0.0", 5},
                                         {MOEC_SDK_VERSION, sizeof(MOEC_SDK_VERSION) - 1},
                                         2,
                                         NULL};
  return &info;
}

static const void* get_extension(const char* id) {
#ifdef MOEC_EXT_FUTURE
  if (strcmp(id, MOEC_EXT_FUTURE) == 0) return &kFuture;
#endif
  (void)id;
  return NULL;
}

static moec_status create(const moec_host* host, const moec_create_info* info, moec_expert** expert,
                          moec_error* error) {
  (void)info, (void)error;
  *expert = calloc(1, sizeof(**expert));
  if (*expert == NULL) return MOEC_OUT_OF_MEMORY;
  (*expert)->host_minor = host->abi_minor;
  return MOEC_OK;
}

static moec_status requirements(moec_expert* expert, moec_requirements* out, moec_error* error) {
  (void)expert, (void)error;
  out->classes = 2;
  out->inputs = MOEC_INPUT_TEXT;
  return MOEC_OK;
}

static moec_status forward(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                           const moec_tensor* logits, moec_error* error) {
  (void)exec, (void)error;
  float* out = logits->data;
  for (int64_t row = 0; row < batch->rows; ++row) {
    out[2 * row] = 0;
    out[2 * row + 1] = (float)expert->host_minor;
#ifdef MOEC_EXT_FUTURE
    if (MOEC_HAS(batch, moec_batch, row_weights)) out[2 * row] = (float)batch->row_weights[row];
#endif
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
