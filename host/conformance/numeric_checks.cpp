// Level 3: the numbers are there, finite, and each row's alone.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>

#include "conformance/check.h"
#include "conformance/distance.h"
#include "conformance/test_expert.h"

namespace moecollab::conformance {
namespace {

constexpr uint32_t kUnwritten = 0x7FA0DEAD;
constexpr int kManyCalls = 300;
constexpr std::chrono::milliseconds kManyCallsTime(800);

void check_writes_all(Subject& subject, Findings& findings) {
  TestExpert expert(subject);
  for (const size_t n : {size_t{1}, size_t{7}, size_t{33}}) {
    const std::vector<float> logits =
        expert.forward(expert.batch(expert.rows(expert.at_most(n), n)));
    for (size_t i = 0; i < logits.size(); ++i) {
      uint32_t bits;
      std::memcpy(&bits, &logits[i], sizeof bits);
      if (bits != kUnwritten) continue;
      const auto classes = static_cast<size_t>(subject.classes());
      findings.add("forward() writes every element of its output",
                   fmt::format("row {} of {}, class {} was left", i / classes, n, i % classes));
      return;
    }
  }
}

void check_in_bounds(Subject& subject, Findings& findings) {
  TestExpert expert(subject);
  for (const size_t n : {size_t{1}, size_t{5}, size_t{16}}) {
    std::string outside;
    expert.forward(expert.batch(expert.rows(expert.at_most(n), n)), &outside);
    if (!outside.empty()) {
      findings.add("forward() writes its output and nothing else", "it wrote " + outside);
      return;
    }
  }
}

// The inputs are read-only there, so that a write is a fault that names its place.
void check_inputs_untouched(Subject& subject, Findings&) {
  TestExpert expert(subject);
  for (const uint64_t seed : {1, 2, 3})
    expert.forward(expert.batch(expert.rows(expert.at_most(12), seed)));
}

void check_finite(Subject& subject, Findings& findings) {
  TestExpert expert(subject);
  for (const uint64_t seed : {1, 2, 3, 4}) {
    const std::vector<TestBatch::Row> rows = expert.rows(64, seed);
    const std::vector<float> logits = forward_all(expert, rows);
    const auto bad =
        std::find_if(logits.begin(), logits.end(), [](float v) { return !std::isfinite(v); });
    if (bad == logits.end()) continue;
    const auto row =
        static_cast<size_t>(bad - logits.begin()) / static_cast<size_t>(subject.classes());
    findings.add("logits are finite",
                 fmt::format("{} for a text of {} bytes", *bad, rows[row].text.size()));
    return;
  }
}

void check_deterministic(Subject& subject, Findings& findings) {
  if (!deterministic(subject, findings)) return;
  TestExpert expert(subject), other(subject);
  const std::vector<TestBatch::Row> rows = expert.rows(expert.at_most(24), 5);
  const std::vector<float> first = expert.forward(expert.batch(rows));
  const auto same = [&](const std::vector<float>& again, const char* what) {
    if (std::memcmp(first.data(), again.data(), first.size() * sizeof(float)) != 0)
      findings.add(fmt::format("{} gives the same bits", what), "they differ");
  };
  same(expert.forward(expert.batch(rows)), "the same batch a second time");
  same(other.forward(other.batch(rows)), "another object of the same package");
}

// Every fourth row is as long as the encoder allows, and its text some thousand bytes.
std::vector<TestBatch::Row> with_long_rows(const Subject& subject,
                                           std::vector<TestBatch::Row> rows) {
  const auto tokens = static_cast<size_t>(subject.encoder().max_length);
  const auto hidden = static_cast<size_t>(subject.encoder().config.hidden);
  for (size_t i = 1; i < rows.size(); i += 4) {
    TestBatch::Row& row = rows[i];
    while (row.text.size() < 3000) row.text += " " + row.text + " " + std::to_string(i);
    for (size_t t = row.tokens.size(); t < tokens; ++t)
      row.tokens.push_back(row.tokens[(t * 7 + i) % t]);
    for (auto& values : row.hidden) {
      const size_t known = values.size() / hidden;
      for (size_t t = known; t < tokens; ++t) {
        for (size_t j = 0; j < hidden; ++j)
          values.push_back(0.9F * values[(t * 7 + i) % known * hidden + j]);
      }
    }
  }
  return rows;
}

void check_row_independence(Subject& subject, Findings& findings) {
  if (!deterministic(subject, findings)) return;
  TestExpert expert(subject);
  const auto classes = static_cast<size_t>(subject.classes());
  const std::vector<TestBatch::Row> rows = with_long_rows(subject, expert.rows(12, 9));
  const std::vector<float> together = forward_all(expert, rows);
  std::vector<TestBatch::Row> reversed(rows.rbegin(), rows.rend());
  const std::vector<float> backwards = forward_all(expert, reversed);
  for (size_t row = 0; row < rows.size(); ++row) {
    const std::vector<float> alone = expert.forward(expert.batch({rows[row]}));
    const double by_company = distance(&together[row * classes], alone.data(), classes);
    const double by_place =
        distance(&together[row * classes], &backwards[(rows.size() - 1 - row) * classes], classes);
    if (by_company > kSameAnswers)
      findings.add(
          fmt::format("a row's logits do not depend on the rows around it (to {:g})", kSameAnswers),
          fmt::format("row {} differs by {:.3g} when it is alone", row, by_company));
    else if (by_place > kSameAnswers)
      findings.add(
          fmt::format("a row's logits do not depend on its place (to {:g})", kSameAnswers),
          fmt::format("row {} differs by {:.3g} when the batch is reversed", row, by_place));
    else
      continue;
    return;
  }
}

// Sizes that hosts send, round the widths of vectors and of blocks.
constexpr double kBatchSizesSeconds = 2;
constexpr size_t kSizes[] = {1, 2, 31, 32, 33, 64, 127, 128, 129, 512};

// Rows of the largest of kSizes for which the check is over in kBatchSizesSeconds.
size_t largest_in_time(TestExpert& expert, Findings& findings) {
  const TestBatch batch = expert.batch(expert.rows(expert.at_most(8), 17));
  expert.forward(batch);  // the first call may set up
  const auto start = std::chrono::steady_clock::now();
  expert.forward(batch);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  const double row = took.count() / static_cast<double>(batch.view().rows);
  size_t largest = 1, sum = 0;
  for (const size_t size : kSizes) {
    sum += size;
    if (static_cast<double>(2 * sum) * row > kBatchSizesSeconds) {
      findings.note(fmt::format("batches of up to {} rows: larger ones take too long", largest));
      break;
    }
    largest = size;
  }
  return expert.at_most(largest);
}

void check_every_size(Subject& subject, Findings& findings) {
  if (!deterministic(subject, findings)) return;
  TestExpert expert(subject);
  const auto classes = static_cast<size_t>(subject.classes());
  const size_t most = largest_in_time(expert, findings);
  const std::vector<TestBatch::Row> rows = expert.rows(most, 17);
  std::vector<float> alone;  // of rows round the ends of blocks, and of the last
  const auto is_tried = [&](size_t row) {
    return (row < 129 && (row + 2) % 32 < 5) || row + 1 == most;
  };
  for (size_t row = 0; row < most; ++row) {
    if (!is_tried(row)) continue;
    const std::vector<float> one = expert.forward(expert.batch({rows[row]}));
    alone.insert(alone.end(), one.begin(), one.end());
  }
  for (const size_t size : kSizes) {
    const size_t n = std::min(size, most);
    const std::vector<float> together =
        expert.forward(expert.batch({rows.begin(), rows.begin() + static_cast<ptrdiff_t>(n)}));
    const float* one = alone.data();
    for (size_t row = 0; row < n; ++row) {
      if (!is_tried(row)) continue;
      const double off = distance(one, &together[row * classes], classes);
      one += classes;
      if (off <= kSameAnswers) continue;
      findings.add(
          fmt::format("a row's logits are the same in a batch of any size (to {:g})", kSameAnswers),
          fmt::format("row {} of {} differs by {:.3g} from when it is alone", row, n, off));
      return;
    }
  }
}

// Texts of every length up to a cache line and of a whole page, each alone between pages that
// nobody may touch, as near to the one as to the other, and among others, where it lies elsewhere.
void check_text_places(Subject& subject, Findings& findings) {
  if ((subject.inputs() & MOEC_INPUT_TEXT) == 0)
    return findings.not_applicable("it reads no texts");
  if (!deterministic(subject, findings)) return;
  TestExpert expert(subject);
  const auto classes = static_cast<size_t>(subject.classes());
  std::vector<TestBatch::Row> rows = expert.rows(67, 19);
  const std::string page(4096, 'b');
  for (size_t i = 0; i < rows.size(); ++i)
    rows[i].text = i == 65 ? page : page.substr(0, i / 2) + "a" + page.substr(0, i - i / 2);
  rows[5].text[2] = '\0';  // a byte as any other
  rows[66].text.clear();   // whose data is NULL
  const std::vector<float> behind = forward_all(expert, rows);
  const moec_requirements& needs = expert.requirements();
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::vector<float> alone = expert.forward(expert.batch({rows[i]})),
                             at_the_start = expert.forward(
                                 TestBatch({rows[i]}, needs.inputs, needs.layer_count,
                                           subject.encoder().config.hidden, true, true));
    const double off = std::max(distance(alone.data(), &behind[i * classes], classes),
                                distance(alone.data(), at_the_start.data(), classes));
    if (off <= kSameAnswers) continue;
    findings.add(
        fmt::format("a text's logits do not depend on where it lies (to {:g})", kSameAnswers),
        fmt::format("those of a text of {} bytes differ by {:.3g}", rows[i].text.size(), off));
    return;
  }
}

// Names of rows say nothing of the text, are any numbers, in any order, and may come again.
void check_row_ids(Subject& subject, Findings& findings) {
  TestExpert expert(subject);
  std::vector<TestBatch::Row> rows = expert.rows(expert.at_most(8), 23);
  const auto n = static_cast<int64_t>(rows.size());
  const std::function<int64_t(int64_t)> namings[] = {
      [](int64_t) { return int64_t{7}; }, [n](int64_t i) { return n - i; },
      [](int64_t i) { return std::numeric_limits<int64_t>::max() - i; },
      [](int64_t i) { return (int64_t{1} << 40) + i * 1'000'003; }};
  for (const auto& naming : namings) {
    for (int64_t i = 0; i < n; ++i) rows[static_cast<size_t>(i)].id = naming(i);
    const std::vector<float> logits = expert.forward(expert.batch(rows));
    const std::vector<float> again = expert.forward(expert.batch(rows));
    const bool finite = all_finite(logits);
    if (!finite)
      findings.add("logits are finite whatever the row_ids", fmt::format("not for {}", naming(0)));
    if (subject.manifest().output.deterministic && logits != again)
      findings.add("equal texts and row_ids give equal bits",
                   fmt::format("not with row_ids from {}", naming(0)));
  }
}

// Whole characters give way to others.
void change_midst(std::string& text) {
  const auto boundary = [&](size_t at) {
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
    return at;
  };
  const size_t first = boundary(text.size() / 2), last = boundary(std::min(first + 5, text.size()));
  text.replace(first, last - first, "!A?z9");
}

// One text after the other, and in the reverse order of another expert. Some differ in a single
// byte in their midst, in one feature of many, or in the order of their tokens: caches mistake
// such.
void check_call_order(Subject& subject, Findings& findings) {
  if (!deterministic(subject, findings)) return;
  TestExpert expert(subject), other(subject);
  const std::vector<TestBatch::Row> some = with_long_rows(subject, expert.rows(12, 13));
  std::vector<TestBatch::Row> rows;
  for (const TestBatch::Row& row : some) {
    TestBatch::Row near = row;
    change_midst(near.text);
    std::reverse(near.tokens.begin() + 1, near.tokens.end());
    for (auto* layers : {&near.hidden, &near.pooled}) {
      for (auto& values : *layers) values[values.size() / 2] += 1.0F;
    }
    rows.insert(rows.end(), {row, near});
  }
  // Long ones first, so that the other expert meets them last.
  std::ranges::stable_sort(rows, std::greater(), [](const auto& row) { return row.tokens.size(); });
  const auto classes = static_cast<size_t>(subject.classes());
  const auto ask = [&](TestExpert& of, size_t row) { return of.forward(of.batch({rows[row]})); };
  std::vector<std::vector<float>> answers(rows.size());
  for (size_t row = 0; row < rows.size(); ++row) answers[row] = ask(expert, row);
  for (size_t row = rows.size(); row-- > 0;) {
    const std::vector<float> seen = ask(other, row);
    if (std::memcmp(seen.data(), answers[row].data(), classes * sizeof(float)) == 0) continue;
    findings.add("a text gets the same bits whatever was asked before",
                 fmt::format("another expert, which was asked in the reverse order, gives text {} "
                             "logits that differ by {:.3g}",
                             row, distance(seen.data(), answers[row].data(), classes)));
    return;
  }
}

void check_many_calls(Subject& subject, Findings& findings) {
  TestExpert expert(subject);
  const std::vector<TestBatch::Row> rows = expert.rows(expert.at_most(4), 11);
  const TestBatch batch = expert.batch(rows);
  const std::vector<float> first = expert.forward(batch);
  const auto end = std::chrono::steady_clock::now() + kManyCallsTime;
  for (int call = 2; call <= kManyCalls; ++call) {
    if (std::chrono::steady_clock::now() > end)
      return findings.note(fmt::format("{} calls: more take too long", call - 1));
    const std::vector<float> again = expert.forward(batch);
    const bool finite = all_finite(again);
    if (!finite) {
      findings.add(fmt::format("{} calls give finite logits", kManyCalls),
                   fmt::format("call {} did not", call));
      return;
    }
    if (!subject.manifest().output.deterministic) continue;
    if (distance(first.data(), again.data(), first.size()) > kSameAnswers) {
      findings.add(fmt::format("{} calls with the same batch give the same logits", kManyCalls),
                   fmt::format("call {} gave others", call));
      return;
    }
  }
}

void check_probabilities(Subject& subject, Findings& findings) {
  if (subject.manifest().output.kind != "probabilities")
    return findings.not_applicable("expert.toml says output.kind = logits");
  TestExpert expert(subject);
  const auto classes = static_cast<size_t>(subject.classes());
  const std::vector<float> p = forward_all(expert, expert.rows(32, 3));
  for (size_t row = 0; row < p.size() / classes; ++row) {
    const double sum = std::accumulate(&p[row * classes], &p[row * classes] + classes, 0.0);
    const bool positive =
        std::all_of(&p[row * classes], &p[row * classes] + classes, [](float v) { return v >= 0; });
    if (positive && std::abs(sum - 1) < 1e-4) continue;
    findings.add("each row is a distribution: none negative, sum 1",
                 fmt::format("row {} sums to {:.6g}", row, sum));
    return;
  }
}

constexpr Check kNumericChecks[] = {
    {"writes-all", 3, "every element of the output is written",
     "loop over all batch->rows and all classes, also on early returns", &check_writes_all},
    {"in-bounds", 3, "nothing is written outside the output",
     "index logits as row * classes + class", &check_in_bounds},
    {"inputs-untouched", 3, "inputs are only read", "copy what has to be changed",
     &check_inputs_untouched},
    {"finite", 3, "logits are finite", "guard divisions, logarithms and exponentials",
     &check_finite},
    {"deterministic", 3, "equal inputs give equal bits",
     "seed randomness by row_ids, or state output.deterministic = false", &check_deterministic},
    {"row-independence", 3, "a row's result depends on that row alone",
     "take no mean over the batch, keep nothing from one row to the next", &check_row_independence},
    {"every-size", 3, "a row's result is the same in a batch of any size",
     "treat the rows after the last whole block or vector as the others", &check_every_size},
    {"text-places", 3, "a text's result does not depend on where the text lies",
     "read bytes [data, data + size) and no others; do not assume alignment or a final 0",
     &check_text_places},
    {"row-ids", 3, "row_ids may be any numbers", "use them as seeds only, never as an index",
     &check_row_ids},
    {"call-order", 3, "a result does not depend on what was asked before",
     "key a cache by the whole text; clear scratch, and let its capacity decide no order",
     &check_call_order},
    {"many-calls", 3, "the three-hundredth call is like the first", "keep no state between calls",
     &check_many_calls},
    {"probabilities", 3, "probabilities are a distribution", "end with a softmax",
     &check_probabilities},
};

}  // namespace

std::span<const Check> numeric_checks() { return kNumericChecks; }

}  // namespace moecollab::conformance
