#include "pipeline/predictor.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/error.h"

namespace moecollab::pipeline {

double unknown_entropy(const GateFile& gate, double risk) {
  if (!(risk >= 0 && risk <= 1))
    throw Error("E_CONFIG", fmt::format("unknown_risk is {}, expected 0 to 1", risk));
  const Json percentiles = gate.metrics.value("entropy_percentiles", Json::array());
  if (percentiles.size() != 101) {
    throw Error("E_GATE", "gate.toml has no entropy_percentiles, which unknown_domain needs",
                kRefit);
  }
  return percentiles[static_cast<size_t>(std::lround(100 * (1 - risk)))].get<double>();
}

Predictor::Predictor(Collaboration& collaboration, PredictorOptions options)
    : collaboration_(collaboration), options_(options) {
  if (!fusion::is_task_agnostic(collaboration.fusion())) {
    throw Error("E_CONFIG",
                fmt::format("{} fusion can only be read if the domain is known, and predict "
                            "does not know it",
                            fusion::name(collaboration.fusion())),
                "use --fusion mixture or logit-union");
  }
  for (const InstalledExpert* expert : collaboration.experts()) experts_.push_back(expert->name);
  encoding_ = std::thread([this] { encode_requests(); });
  answering_ = std::thread([this] { answer_encoded(); });
}

Predictor::~Predictor() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  encoding_.join();
  answering_.join();
}

std::future<std::vector<Prediction>> Predictor::submit(std::vector<std::string> texts,
                                                       bool may_share) {
  Request request{std::move(texts), may_share, {}};
  std::future<std::vector<Prediction>> future = request.promise.get_future();
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(request));
  }
  changed_.notify_one();
  return future;
}

std::future<std::vector<Prediction>> Predictor::submit_here(std::vector<std::string> texts) {
  std::unique_lock encoder(encoding_now_, std::try_to_lock);
  if (!encoder || behind_ > 0 || !nothing_waits()) return submit(std::move(texts));
  use_threads();
  std::vector<Request> requests;
  requests.push_back({std::move(texts), true, {}});
  Batch batch = batch_of(std::move(requests));
  std::future<std::vector<Prediction>> future = batch.requests[0].promise.get_future();
  if (encode(batch)) answer(batch, std::move(encoder));
  return future;
}

void Predictor::drop_waiting() {
  const std::lock_guard lock(mutex_);
  waiting_.clear();
}

// OpenMP keeps the number per thread.
void Predictor::use_threads() {
  at::set_num_threads(collaboration_.pool().options().compute.threads);
}

void Predictor::encode_requests() {
  use_threads();
  // A cache is read here and written by the answers, and is not thread-safe.
  const bool alone = collaboration_.pool().options().cache != nullptr;
  for (Batch batch = next_batch(); !batch.requests.empty(); batch = next_batch()) {
    std::unique_lock encoder(encoding_now_);
    if (!encode(batch)) continue;
    // To wake the other thread for a text that nothing waits behind would only delay its answer.
    if (alone || (behind_ == 0 && nothing_waits())) {
      answer(batch, std::move(encoder));
    } else {
      ++behind_;
      encoded_.push(std::move(batch), 1);
    }
  }
  encoded_.close();
}

void Predictor::answer_encoded() {
  use_threads();
  while (std::optional<Batch> batch = encoded_.pop()) {
    answer(*batch, {});
    --behind_;
  }
}

// Waits for requests; none at the end.
Predictor::Batch Predictor::next_batch() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
  std::vector<Request> requests;
  size_t texts = 0;
  while (!waiting_.empty()) {
    Request& next = waiting_.front();
    texts += next.texts.size();
    const bool fits = next.may_share && texts <= static_cast<size_t>(options_.batch);
    if (!requests.empty() && !(fits && requests.back().may_share)) break;
    requests.push_back(std::move(next));
    waiting_.pop_front();
  }
  return batch_of(std::move(requests));
}

Predictor::Batch Predictor::batch_of(std::vector<Request> requests) {
  Batch batch{std::move(requests), {}, {}};
  for (const Request& request : batch.requests)
    batch.texts.insert(batch.texts.end(), request.texts.begin(), request.texts.end());
  return batch;
}

bool Predictor::nothing_waits() {
  const std::lock_guard lock(mutex_);
  return waiting_.empty();
}

// False if it failed, which the requests then know.
bool Predictor::encode(Batch& batch) {
  if (batch.texts.empty()) return true;
  try {
    batch.routed = collaboration_.route(batch.texts, collaboration_.recall_outputs(batch.texts));
    return true;
  } catch (...) {
    fail(batch);
    return false;
  }
}

// Whoever hears of an answer finds the encoder free for the next text.
void Predictor::answer(Batch& batch, std::unique_lock<std::mutex> encoder) {
  const std::lock_guard lock(asking_);
  try {
    std::vector<Prediction> all = predictions(batch);
    if (encoder) encoder.unlock();
    auto next = std::make_move_iterator(all.begin());
    for (Request& request : batch.requests) {
      const auto end = next + static_cast<ptrdiff_t>(request.texts.size());
      request.promise.set_value({next, end});
      next = end;
    }
  } catch (...) {
    fail(batch);
  }
}

void Predictor::fail(Batch& batch) {
  for (Request& request : batch.requests) request.promise.set_exception(std::current_exception());
}

std::vector<Prediction> Predictor::predictions(Batch& batch) {
  if (batch.texts.empty()) return {};
  const Answers answers = collaboration_.answer(batch.routed);
  const at::Tensor p = answers.fused.exp();
  const auto [values, ids] = p.topk(std::min<int64_t>(options_.alternatives + 1, p.size(1)), 1);
  const at::Tensor log_g = at::log_softmax(answers.router_logits, -1);
  const at::Tensor g = log_g.exp();
  const at::Tensor entropies = -(g * log_g).sum(-1);
  // Plain numbers: an index into a tensor is an operator call.
  const auto value = values.accessor<float, 2>(), share = answers.weights.accessor<float, 2>();
  const auto id = ids.accessor<int64_t, 2>();
  const auto entropy = entropies.accessor<float, 1>();
  const auto dense = g.accessor<float, 2>();
  std::vector<Prediction> all;
  all.reserve(batch.texts.size());
  for (int64_t row = 0; row < p.size(0); ++row) {
    Prediction prediction;
    for (int64_t k = 0; k < values.size(1); ++k) {
      Prediction::Candidate next = candidate(id[row][k], value[row][k]);
      if (k == 0) {
        prediction.answer = std::move(next);
      } else {
        prediction.alternatives.push_back(std::move(next));
      }
    }
    for (int64_t e = 0; e < share.size(1); ++e) prediction.shares.push_back(share[row][e]);
    for (int64_t e = 0; options_.gate && e < dense.size(1); ++e)
      prediction.gate.push_back(dense[row][e]);
    prediction.entropy = entropy[row];
    prediction.unknown_domain = prediction.entropy > options_.unknown_entropy;
    all.push_back(std::move(prediction));
  }
  if (options_.opinions) {
    const at::Tensor best = ids.select(1, 0).contiguous();
    const auto* first = best.const_data_ptr<int64_t>();
    add_opinions(batch, answers, {first, first + best.numel()}, all);
  }
  return all;
}

std::vector<Prediction::Opinion::Part> Predictor::evidence(const Batch& batch, size_t row,
                                                           experts::Expert& expert, int64_t label) {
  const int64_t rows[] = {static_cast<int64_t>(row)};
  std::vector<Prediction::Opinion::Part> parts;
  for (const experts::Evidence& found :
       expert.explain(batch.routed.encoded.select(expert.request(), rows),
                      static_cast<int32_t>(label), kMostEvidence)) {
    parts.push_back({found, std::string(batch.texts[row].substr(
                                static_cast<size_t>(found.begin),
                                static_cast<size_t>(found.end - found.begin)))});
  }
  return parts;
}

void Predictor::add_opinions(const Batch& batch, const Answers& answers,
                             const std::vector<int64_t>& ids,
                             std::vector<Prediction>& predictions) const {
  for (size_t e = 0; e < experts_.size(); ++e) {
    experts::Expert& expert = *collaboration_.experts()[e]->expert;
    const fusion::ExpertLabels& labels = collaboration_.expert_labels()[e];
    const at::Tensor own = at::softmax(answers.logits[e] / labels.temperature, 1);
    const auto p = own.accessor<float, 2>();
    for (size_t row = 0; row < predictions.size(); ++row) {
      if (predictions[row].shares[e] == 0) continue;
      const auto said = p[static_cast<int64_t>(row)];
      int64_t best = 0;
      Prediction::Opinion opinion{e, {}, {}};
      for (int64_t c = 0; c < said.size(0); ++c) {
        if (said[c] > said[best]) best = c;
        if (labels.columns[static_cast<size_t>(c)] == ids[row]) opinion.of_answer = said[c];
      }
      opinion.answer = candidate(labels.columns[static_cast<size_t>(best)], said[best]);
      if (expert.facts().explains) opinion.evidence = evidence(batch, row, expert, best);
      predictions[row].opinions.push_back(std::move(opinion));
    }
  }
  for (Prediction& prediction : predictions) {
    std::ranges::stable_sort(prediction.opinions, std::greater(), [&](const auto& opinion) {
      return prediction.shares[opinion.expert];
    });
  }
}

Prediction::Candidate Predictor::candidate(int64_t id, double probability) const {
  const fusion::LabelUnion& labels = collaboration_.pool().labels();
  const int label = static_cast<int>(id);
  return {labels.label(label), labels.spaces()[static_cast<size_t>(labels.space_of(label))].name,
          probability};
}

}  // namespace moecollab::pipeline
