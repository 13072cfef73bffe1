/* An expert in plain C that learns by itself: what it sees of a text is an array of numbers, and
 * what it has learnt is another one. Six functions:
 *
 *   static int64_t width(const moec_encoder_info* encoder) { ... }
 *   static void see(const moec_row* row, float* x) { ... }
 *   static uint64_t numbers(int32_t classes, int64_t width) { ... }
 *   static void learn(moec_learner* self, const float* x, int32_t label, float weight) { ... }
 *   static int32_t end_epoch(moec_learner* self) { ... }
 *   static void score(const moec_learner* self, const float* x, float* logits) { ... }
 *   MOEC_LEARNING_EXPERT("com.example.nearest", "1.0.0", MOEC_INPUT_POOLED, width, see, numbers,
 *                        learn, end_epoch, score);
 *
 * C11, also valid C++17. It reads one kind of input, of one layer. Labels come with the training
 * data. For anything more, write moec_plugin_entry() against abi.h, or use expert.hpp. */
#ifndef MOECOLLAB_LEARNING_EXPERT_H_
#define MOECOLLAB_LEARNING_EXPERT_H_

#include <moecollab/ext/fit.h>
#include <moecollab/ext/state.h>
#include <moecollab/text_expert.h>

/* One row of a batch; what the expert does not read is 0. */
typedef struct moec_row {
  moec_string text;      /* UTF-8, as long as its size says; no NUL ends it */
  int64_t token_count;   /* [CLS] and [SEP] included */
  const int32_t* tokens; /* [token_count] */
  int64_t hidden_width;  /* H */
  const float* hidden;   /* [token_count, H] */
  const float* pooled;   /* [H] */
} moec_row;

/* What an expert has learnt: all of it lies in `numbers`, which is what weights.safetensors keeps.
 */
typedef struct moec_learner {
  int32_t classes;
  int64_t width;  /* of what it sees of a text */
  float* numbers; /* [count]; all 0 when a training begins */
  uint64_t count;
} moec_learner;

/* What MOEC_LEARNING_EXPERT() makes: the library's identity and its functions. */
typedef struct moec_learning_expert {
  moec_library_info info;
  uint32_t inputs; /* one of MOEC_INPUT_… */
  /* How many numbers it sees of a text, at least 1; encoder is NULL if it reads text. */
  int64_t (*width)(const moec_encoder_info* encoder);
  /* Writes x [width], all 0 when it gets them. Depends on the row alone; other experts of the
   * library may be calling it at the same time. */
  void (*see)(const moec_row* row, float* x);
  /* How many numbers an expert of so many classes and features keeps. */
  uint64_t (*numbers)(int32_t classes, int64_t width);
  /* Learns one row: x [width], weight > 0. Labels count from 0 in the order of the manifest, which
   * for a new domain is alphabetical. */
  void (*learn)(moec_learner* self, const float* x, int32_t label, float weight);
  /* After all rows of an epoch; gives 1 if another epoch may change answers. Epochs may follow 0
   * all the same: then a row that is learnt again may not change them. */
  int32_t (*end_epoch)(moec_learner* self);
  /* Writes logits [classes] for x [width]; all 0 when it gets them. Depends on x and numbers. A
   * label that no row had is one that should not win. */
  void (*score)(const moec_learner* self, const float* x, float* logits);
} moec_learning_expert;

typedef struct moec_learning_object {
  moec_learner learner;
  const moec_learning_expert* library;
  const moec_host* host;
  int32_t pooling, layer; /* layer: -1 if it reads none */
  int64_t hidden;         /* the encoder's width, or 0 */
  float* x;               /* [width]: what is seen of the row at hand */
  int64_t shape[1];       /* of the state: [count] */
} moec_learning_object;

static inline moec_learning_object* moec_learning_of(moec_expert* expert) {
  return (moec_learning_object*)(void*)expert;
}

/* --- making it -------------------------------------------------------------------------------- */

static inline const char* moec_learning_fault(const moec_learning_expert* library,
                                              const moec_create_info* info) {
  const int layered = (library->inputs & (MOEC_INPUT_HIDDEN | MOEC_INPUT_POOLED)) != 0;
  if (info->classes < 1) return "an expert needs at least one class";
  if (info->inputs != library->inputs) return "the manifest's needs are not what this expert reads";
  if (library->inputs == MOEC_INPUT_TEXT) return NULL;
  if (info->encoder == NULL || info->encoder->hidden < 1) return "no encoder is given";
  if (layered && (info->layer_count != 1 || info->layers == NULL))
    return "this expert reads one layer";
  return NULL;
}

/* The numbers that an earlier training left, or none. */
static inline moec_status moec_learning_restore(moec_learning_object* made,
                                                const moec_create_info* info, moec_error* error) {
  static const char name[] = "learnt";
  uint64_t i;
  if (info->weight_count == 0) return MOEC_OK;
  for (i = 0; i < info->weight_count; ++i) {
    const moec_tensor* found = &info->weights[i];
    if (info->weight_names[i].size != sizeof(name) - 1 ||
        memcmp(info->weight_names[i].data, name, sizeof(name) - 1) != 0)
      continue;
    if (found->ndim != 1 || found->shape[0] != (int64_t)made->learner.count) break;
    memcpy(made->learner.numbers, found->data, (size_t)made->learner.count * sizeof(float));
    return MOEC_OK;
  }
  return moec_refuse(error, MOEC_INVALID_ARGUMENT,
                     "the weight \"learnt\" is missing or has another shape");
}

static inline void moec_learning_free(moec_expert* expert) {
  if (expert != NULL) {
    free(moec_learning_of(expert)->learner.numbers);
    free(moec_learning_of(expert)->x);
  }
  free(expert);
}

static inline moec_status moec_learning_create(const moec_learning_expert* library,
                                               const moec_host* host, const moec_create_info* info,
                                               moec_expert** expert, moec_error* error) {
  moec_learning_object* made;
  moec_status status;
  const char* fault;
  if (info == NULL || expert == NULL || !MOEC_HAS(info, moec_create_info, weights))
    return moec_refuse(error, MOEC_INVALID_ARGUMENT, "create() needs a complete info and a place");
  *expert = NULL;
  fault = moec_learning_fault(library, info);
  if (fault != NULL) return moec_refuse(error, MOEC_INVALID_ARGUMENT, fault);
  made = (moec_learning_object*)calloc(1, sizeof(moec_learning_object));
  if (made == NULL) return moec_refuse(error, MOEC_OUT_OF_MEMORY, "out of memory");
  made->library = library;
  made->host = host;
  made->pooling = info->pooling;
  made->layer = info->layer_count == 1 ? info->layers[0] : -1;
  made->hidden = info->encoder == NULL ? 0 : info->encoder->hidden;
  made->learner.classes = info->classes;
  made->learner.width = library->width(info->encoder);
  made->learner.count = library->numbers(info->classes, made->learner.width);
  if (made->learner.width < 1 || made->learner.width > INT32_MAX ||
      made->learner.count > (uint64_t)INT64_MAX / sizeof(float)) {
    free(made);
    return moec_refuse(error, MOEC_INTERNAL, "width() or numbers() gives an impossible size");
  }
  made->shape[0] = (int64_t)made->learner.count;
  made->learner.numbers = (float*)calloc((size_t)made->learner.count + 1, sizeof(float));
  made->x = (float*)calloc((size_t)made->learner.width, sizeof(float));
  status = made->learner.numbers == NULL || made->x == NULL
               ? moec_refuse(error, MOEC_OUT_OF_MEMORY, "out of memory")
               : moec_learning_restore(made, info, error);
  if (status != MOEC_OK) {
    moec_learning_free((moec_expert*)(void*)made);
    return status;
  }
  *expert = (moec_expert*)(void*)made;
  return MOEC_OK;
}

static inline moec_status moec_learning_requirements(moec_expert* expert, moec_requirements* out,
                                                     moec_error* error) {
  moec_requirements mine;
  if (expert == NULL || out == NULL)
    return moec_refuse(error, MOEC_INVALID_ARGUMENT, "requirements() needs an expert and a place");
  memset(&mine, 0, sizeof(mine));
  mine.struct_size = out->struct_size;
  mine.classes = moec_learning_of(expert)->learner.classes;
  mine.inputs = moec_learning_of(expert)->library->inputs;
  mine.pooling = moec_learning_of(expert)->pooling;
  if (moec_learning_of(expert)->layer >= 0) {
    mine.layer_count = 1;
    mine.layers = &moec_learning_of(expert)->layer;
  }
  memcpy(out, &mine, out->struct_size < sizeof(mine) ? out->struct_size : sizeof(mine));
  return MOEC_OK;
}

/* --- answering -------------------------------------------------------------------------------- */

static inline int moec_learning_is_matrix(const moec_tensor* t, int64_t rows, int64_t columns) {
  return t != NULL && t->data != NULL && t->ndim == 2 && t->shape[0] == rows &&
         t->shape[1] == columns && t->type_code == MOEC_FLOAT && t->type_bits == 32;
}

static inline const char* moec_learning_batch_fault(moec_expert* expert, const moec_batch* batch) {
  const moec_learning_object* self = moec_learning_of(expert);
  if (expert == NULL || batch == NULL || !MOEC_HAS(batch, moec_batch, pooled) || batch->rows < 1)
    return "a batch of at least one row is needed";
  switch (self->library->inputs) {
    case MOEC_INPUT_TEXT:
      return batch->texts == NULL ? "texts are missing" : NULL;
    case MOEC_INPUT_TOKENS:
      return batch->row_offsets == NULL || batch->token_ids == NULL ? "tokens are missing" : NULL;
    case MOEC_INPUT_HIDDEN:
      if (batch->row_offsets == NULL || batch->layer_count != 1 || batch->hidden == NULL ||
          !moec_learning_is_matrix(batch->hidden[0], batch->row_offsets[batch->rows], self->hidden))
        return "token states of one layer, [tokens, hidden] float32, are missing";
      return NULL;
    default:
      if (batch->layer_count != 1 || batch->pooled == NULL ||
          !moec_learning_is_matrix(batch->pooled[0], batch->rows, self->hidden))
        return "features of one layer, [rows, hidden] float32, are missing";
      return NULL;
  }
}

/* What the library sees of a row; valid until it sees the next one. */
static inline const float* moec_learning_features(moec_learning_object* self,
                                                  const moec_batch* batch, int64_t index) {
  const uint32_t inputs = self->library->inputs;
  const int64_t first =
      (inputs & (MOEC_INPUT_TOKENS | MOEC_INPUT_HIDDEN)) != 0 ? batch->row_offsets[index] : 0;
  moec_row row;
  memset(&row, 0, sizeof(row));
  row.hidden_width = self->hidden;
  if (inputs == MOEC_INPUT_TEXT) row.text = batch->texts[index];
  if (inputs == MOEC_INPUT_POOLED)
    row.pooled = (const float*)batch->pooled[0]->data + index * self->hidden;
  if (inputs == MOEC_INPUT_TOKENS || inputs == MOEC_INPUT_HIDDEN)
    row.token_count = batch->row_offsets[index + 1] - first;
  if (inputs == MOEC_INPUT_TOKENS) row.tokens = (const int32_t*)batch->token_ids->data + first;
  if (inputs == MOEC_INPUT_HIDDEN)
    row.hidden = (const float*)batch->hidden[0]->data + first * self->hidden;
  memset(self->x, 0, (size_t)self->learner.width * sizeof(float));
  self->library->see(&row, self->x);
  return self->x;
}

static inline moec_status moec_learning_forward(moec_expert* expert, const moec_exec* exec,
                                                const moec_batch* batch, const moec_tensor* logits,
                                                moec_error* error) {
  const char* fault = moec_learning_batch_fault(expert, batch);
  moec_learning_object* self;
  int64_t row;
  (void)exec;
  if (fault == NULL &&
      !moec_learning_is_matrix(logits, batch->rows, moec_learning_of(expert)->learner.classes))
    fault = "logits are not [rows, classes] float32";
  if (fault != NULL) return moec_refuse(error, MOEC_INVALID_ARGUMENT, fault);
  self = moec_learning_of(expert);
  for (row = 0; row < batch->rows; ++row) {
    float* out = (float*)logits->data + row * self->learner.classes;
    memset(out, 0, (size_t)self->learner.classes * sizeof(float));
    self->library->score(&self->learner, moec_learning_features(self, batch, row), out);
  }
  return MOEC_OK;
}

/* --- moecollab.fit/1 -------------------------------------------------------------------------- */

static inline moec_status moec_learning_begin(moec_expert* expert, const moec_exec* exec,
                                              int64_t rows, int32_t max_epochs, uint64_t seed,
                                              moec_error* error) {
  moec_learner* learner;
  (void)exec;
  (void)seed;
  if (expert == NULL || rows < 1 || max_epochs < 0)
    return moec_refuse(error, MOEC_INVALID_ARGUMENT, "fit_begin() needs an expert and rows");
  learner = &moec_learning_of(expert)->learner;
  memset(learner->numbers, 0, (size_t)learner->count * sizeof(float));
  return MOEC_OK;
}

static inline moec_status moec_learning_batch(moec_expert* expert, const moec_exec* exec,
                                              const moec_batch* batch, const moec_tensor* labels,
                                              const moec_tensor* weights, moec_error* error) {
  const char* fault = moec_learning_batch_fault(expert, batch);
  moec_learning_object* self;
  int64_t row;
  (void)exec;
  if (fault == NULL &&
      (labels == NULL || labels->type_code != MOEC_INT || labels->type_bits != 32 ||
       weights == NULL || weights->type_code != MOEC_FLOAT))
    fault = "labels are not int32, or weights not float32";
  if (fault != NULL) return moec_refuse(error, MOEC_INVALID_ARGUMENT, fault);
  self = moec_learning_of(expert);
  for (row = 0; row < batch->rows; ++row) {
    const int32_t label = ((const int32_t*)labels->data)[row];
    if (label < 0 || label >= self->learner.classes)
      return moec_refuse(error, MOEC_INVALID_ARGUMENT, "a label is not in [0, classes)");
  }
  if (self->host != NULL && self->host->should_stop(self->host) != 0)
    return moec_refuse(error, MOEC_CANCELLED, "stopped by the host");
  for (row = 0; row < batch->rows; ++row) {
    const float weight = ((const float*)weights->data)[row];
    if (weight > 0)
      self->library->learn(&self->learner, moec_learning_features(self, batch, row),
                           ((const int32_t*)labels->data)[row], weight);
  }
  return MOEC_OK;
}

static inline moec_status moec_learning_epoch(moec_expert* expert, const moec_exec* exec,
                                              int32_t* want_more, moec_error* error) {
  (void)exec;
  if (expert == NULL || want_more == NULL)
    return moec_refuse(error, MOEC_INVALID_ARGUMENT, "fit_epoch_end() needs a place to answer");
  *want_more = moec_learning_of(expert)->library->end_epoch(&moec_learning_of(expert)->learner);
  return MOEC_OK;
}

static inline moec_status moec_learning_end(moec_expert* expert, moec_error* error) {
  (void)expert;
  (void)error;
  return MOEC_OK;
}

/* --- moecollab.state/1: the numbers ----------------------------------------------------------- */

static inline uint64_t moec_learning_count(moec_expert* expert) {
  (void)expert;
  return 1;
}

static inline moec_status moec_learning_describe(moec_expert* expert, uint64_t index,
                                                 moec_state_info* out, moec_error* error) {
  moec_state_info mine = {0, MOEC_LITERAL("learnt"), 1, NULL};
  if (expert == NULL || out == NULL || index != 0)
    return moec_refuse(error, MOEC_INVALID_ARGUMENT, "there is no such state");
  mine.struct_size = out->struct_size;
  mine.shape = moec_learning_of(expert)->shape;
  memcpy(out, &mine, out->struct_size < sizeof(mine) ? out->struct_size : sizeof(mine));
  return MOEC_OK;
}

static inline moec_status moec_learning_copy(moec_expert* expert, uint64_t index,
                                             const moec_tensor* tensor, int reads,
                                             moec_error* error) {
  moec_learner* learner;
  if (expert == NULL || index != 0 || tensor == NULL || tensor->ndim != 1 ||
      tensor->shape[0] != moec_learning_of(expert)->shape[0] || tensor->type_code != MOEC_FLOAT)
    return moec_refuse(error, MOEC_INVALID_ARGUMENT, "the state is one tensor [count] float32");
  learner = &moec_learning_of(expert)->learner;
  if (reads)
    memcpy(tensor->data, learner->numbers, (size_t)learner->count * sizeof(float));
  else
    memcpy(learner->numbers, tensor->data, (size_t)learner->count * sizeof(float));
  return MOEC_OK;
}

static inline moec_status moec_learning_read(moec_expert* expert, uint64_t index,
                                             const moec_tensor* destination, moec_error* error) {
  return moec_learning_copy(expert, index, destination, 1, error);
}

static inline moec_status moec_learning_write(moec_expert* expert, uint64_t index,
                                              const moec_tensor* source, moec_error* error) {
  return moec_learning_copy(expert, index, source, 0, error);
}

static inline const void* moec_learning_extension(const char* id) {
  static const moec_ext_fit fit = {sizeof(moec_ext_fit), moec_learning_begin, moec_learning_batch,
                                   moec_learning_epoch, moec_learning_end};
  static const moec_ext_state state = {sizeof(moec_ext_state), moec_learning_count,
                                       moec_learning_describe, moec_learning_read,
                                       moec_learning_write};
  if (strcmp(id, MOEC_EXT_FIT) == 0) return &fit;
  return strcmp(id, MOEC_EXT_STATE) == 0 ? (const void*)&state : NULL;
}

/* Makes the six functions the library's expert; see moec_learning_expert. */
#define MOEC_LEARNING_EXPERT(id, version, inputs, width, see, numbers, learn, end_epoch, score) \
  MOEC_LIBRARY_NOTE(id, version);                                                               \
  static const moec_learning_expert moec_self = {                                               \
      {sizeof(moec_library_info), MOEC_LITERAL(id), MOEC_LITERAL(version),                      \
       MOEC_LITERAL(MOEC_SDK_VERSION), 0, NULL},                                                \
      inputs,                                                                                   \
      width,                                                                                    \
      see,                                                                                      \
      numbers,                                                                                  \
      learn,                                                                                    \
      end_epoch,                                                                                \
      score};                                                                                   \
  static const moec_library_info* moec_describe(void) { return &moec_self.info; }               \
  static moec_status moec_create(const moec_host* host, const moec_create_info* info,           \
                                 moec_expert** expert, moec_error* error) {                     \
    return moec_learning_create(&moec_self, host, info, expert, error);                         \
  }                                                                                             \
  const moec_library* moec_plugin_entry(void) {                                                 \
    static const moec_library library = {sizeof(moec_library),  MOEC_ABI_MAJOR,                 \
                                         MOEC_ABI_MINOR,        MOEC_MIN_HOST_MINOR,            \
                                         moec_describe,         moec_learning_extension,        \
                                         moec_create,           moec_learning_requirements,     \
                                         moec_learning_forward, moec_learning_free};            \
    return &library;                                                                            \
  }                                                                                             \
  struct moec_expert /* takes the semicolon */

#endif /* MOECOLLAB_LEARNING_EXPERT_H_ */
