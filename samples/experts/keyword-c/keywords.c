/* News topics by counting keywords: an expert in plain C11 against abi.h alone. It has no weights,
 * and class count and labels are fixed in code. */
#include <ctype.h>
#include <moecollab/note.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

MOEC_LIBRARY_NOTE("com.example.keywords", "1.0.0");

enum { kClasses = 4, kMaxWord = 16 };
static const float kLogitPerHit = 1.0f;

/* Lower-case beginnings of words, per label. */
static const char* const kKeywords[kClasses][40] = {
    {"minister", "president", "iraq",   "baghdad",    "kill",    "troop",  "soldier",  "military",
     "election", "vote",      "rebel",  "bomb",       "attack",  "peace",  "palestin", "israel",
     "gaza",     "afghan",    "iran",   "nuclear",    "hostage", "police", "govern",   "terror",
     "darfur",   "sudan",     "russia", "parliament", "nation",  "war",    "protest",  "ceasefire"},
    {"game",     "season",   "team",       "coach",   "player",  "win",    "won",   "beat",
     "league",   "cup",      "champion",   "olympic", "score",   "goal",   "match", "quarterback",
     "football", "baseball", "basketball", "soccer",  "cricket", "tennis", "golf",  "inning",
     "stadium",  "victory",  "medal",      "playoff", "sox",     "yankee", "nba",   "touchdown"},
    {"stock",   "oil",     "price",     "profit",  "share",   "company", "market",  "bank",
     "billion", "million", "quarter",   "earning", "sales",   "invest",  "dollar",  "rate",
     "trade",   "econom",  "inflation", "job",     "airline", "deal",    "merger",  "wall",
     "crude",   "retail",  "bid",       "buy",     "fund",    "insur",   "reuters", "growth"},
    {"software",  "microsoft", "internet", "computer", "google",   "web",    "online",  "phone",
     "technolog", "space",     "nasa",     "scien",    "research", "linux",  "virus",   "wireless",
     "chip",      "intel",     "apple",    "ibm",      "server",   "user",   "search",  "browser",
     "security",  "digital",   "music",    "video",    "planet",   "mobile", "windows", "network"}};

struct moec_expert {
  int32_t classes; /* a stateless expert needs an object all the same: hosts tell objects apart */
};

static moec_status refuse(moec_error* error, moec_status code, const char* message) {
  if (error != NULL && MOEC_HAS(error, moec_error, message)) {
    error->code = code;
    snprintf(error->message, sizeof(error->message), "%s", message);
  }
  return code;
}

static const moec_library_info* describe(void) {
  static const moec_string labels[kClasses] = {
      {"world", 5}, {"sports", 6}, {"business", 8}, {"scitech", 7}};
  static const moec_library_info info = {sizeof(moec_library_info),
                                         {"com.example.keywords", 20},
                                         {"1.0.0", 5},
                                         {MOEC_SDK_VERSION, sizeof(MOEC_SDK_VERSION) - 1},
                                         kClasses,
                                         labels};
  return &info;
}

static const void* get_extension(const char* id) {
  (void)id;
  return NULL;
}

static moec_status create(const moec_host* host, const moec_create_info* info, moec_expert** expert,
                          moec_error* error) {
  (void)host;
  if (info == NULL || expert == NULL || !MOEC_HAS(info, moec_create_info, weights)) {
    return refuse(error, MOEC_INVALID_ARGUMENT, "create() needs a complete info and a place");
  }
  *expert = NULL;
  if (info->classes != kClasses || info->inputs != MOEC_INPUT_TEXT) {
    return refuse(error, MOEC_INVALID_ARGUMENT, "this expert has 4 classes and reads text only");
  }
  if (info->weight_count != 0) {
    return refuse(error, MOEC_INVALID_ARGUMENT, "this expert has no weights, but some were given");
  }
  *expert = malloc(sizeof(**expert));
  if (*expert == NULL) return refuse(error, MOEC_OUT_OF_MEMORY, "out of memory");
  (*expert)->classes = info->classes;
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

/* Adds to logits [classes] for a word of the text in lower case. */
static void count_word(const char* word, float* logits) {
  for (int label = 0; label < kClasses; ++label) {
    for (const char* const* keyword = kKeywords[label]; *keyword != NULL; ++keyword) {
      if (strncmp(word, *keyword, strlen(*keyword)) == 0) logits[label] += kLogitPerHit;
    }
  }
}

static void count_text(moec_string text, float* logits) {
  char word[kMaxWord + 1];
  size_t length = 0;
  for (uint64_t i = 0; i <= text.size; ++i) {
    const unsigned char c = i < text.size ? (unsigned char)text.data[i] : ' ';
    if (c < 0x80 && isalnum(c)) {
      if (length < kMaxWord) word[length++] = (char)tolower(c);
    } else if (length > 0) {
      word[length] = '\0';
      count_word(word, logits);
      length = 0;
    }
  }
}

static moec_status forward(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                           const moec_tensor* logits, moec_error* error) {
  (void)exec;
  if (expert == NULL || batch == NULL || !MOEC_HAS(batch, moec_batch, texts) || batch->rows < 1 ||
      batch->texts == NULL) {
    return refuse(error, MOEC_INVALID_ARGUMENT, "forward() needs an expert and a batch with texts");
  }
  if (logits == NULL || logits->ndim != 2 || logits->shape[0] != batch->rows ||
      logits->shape[1] != kClasses || logits->type_code != MOEC_FLOAT || logits->type_bits != 32) {
    return refuse(error, MOEC_INVALID_ARGUMENT, "logits are not [rows, 4] float32");
  }
  float* row = logits->data;
  memset(row, 0, (size_t)batch->rows * kClasses * sizeof(float));
  for (int64_t r = 0; r < batch->rows; ++r) count_text(batch->texts[r], row + r * kClasses);
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
