/* Its labels are fixed in code, by the helper for plain C experts. */
#include <moecollab/text_expert.h>

static const moec_string kLabels[] = {MOEC_LITERAL("question"), MOEC_LITERAL("order"),
                                      MOEC_LITERAL("statement")};

static void score(moec_string text, float* logits) {
  if (text.size > 0 && text.data[text.size - 1] == '?') logits[0] = 2;
  if (text.size > 0 && text.data[text.size - 1] == '!') logits[1] = 2;
  logits[2] = 1;
}

MOEC_TEXT_EXPERT("org.moecollab.zoo", "1.0.0", kLabels, score);
