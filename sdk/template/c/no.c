/* Questions and statements, by their marks and first words. Nothing is learnt. */
#include <ctype.h>
#include <moecollab/text_expert.h>

/* In the order of `labels` in expert.toml, which must say the same. */
static const moec_string kLabels[] = {MOEC_LITERAL("question"), MOEC_LITERAL("statement")};

static const char* const kFirstWords[] = {"who",  "what", "when", "where", "why",  "how",
                                          "which", "is",   "are",  "do",    "does", "can"};

/* Whether the text begins with the word, in any case. */
static int begins_with(moec_string text, const char* word) {
  const size_t size = strlen(word);
  if (text.size < size || (text.size > size && isalpha((unsigned char)text.data[size]))) return 0;
  for (size_t i = 0; i < size; ++i)
    if (tolower((unsigned char)text.data[i]) != word[i]) return 0;
  return 1;
}

/* Adds to logits, one per label, which begin at 0. They may depend on this text alone. */
static void score(moec_string text, float* logits) {
  for (size_t i = 0; i < sizeof(kFirstWords) / sizeof(kFirstWords[0]); ++i)
    if (begins_with(text, kFirstWords[i])) logits[0] += 1;
  if (text.size > 0 && memchr(text.data, '?', text.size) != NULL) logits[0] += 4;
  logits[1] = 1;
}

MOEC_TEXT_EXPERT("@ID@", "1.0.0", kLabels, score);
