// Answers as values: one thread answers, a queue stands in front of it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <future>
#include <limits>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/bounded_queue.h"
#include "pipeline/collaboration.h"

namespace moecollab::pipeline {

struct Prediction {
  struct Candidate {
    std::string label, space;
    double probability = 0;
  };
  Candidate answer;
  std::vector<Candidate> alternatives;  // the next best ones, the likelier first
  std::vector<double> shares;           // [E] of the experts, as Predictor::experts() names them
  std::vector<double> gate;  // [E] the same before top-k and caps; empty unless they were asked for
  bool unknown_domain = false;  // no installed expert seems to know the text's domain
  double entropy = 0;           // of the shares before top-k and caps, in nats; decides that

  // What an expert that was asked says alone, and how sure it is of the collaboration's answer;
  // none: its labels lack that.
  struct Opinion {
    size_t expert = 0;  // of the shares
    Candidate answer;
    std::optional<double> of_answer;
    // What of the text speaks for its own answer; none: it does not say.
    struct Part : experts::Evidence {
      std::string text;
    };
    std::optional<std::vector<Part>> evidence = {};
  };
  std::vector<Opinion> opinions;  // the greatest share first; empty unless they were asked for
};

inline constexpr int64_t kMostEvidence = 5;  // parts of a text, of an opinion

struct PredictorOptions {
  int64_t batch = 128;       // texts answered together, unless one request alone has more
  int64_t alternatives = 3;  // per text, at most
  bool opinions = false;     // each expert's own
  bool gate = false;         // the gate's shares before top-k and caps
  // The gate's entropy in nats above which a text's domain counts as unknown.
  double unknown_entropy = std::numeric_limits<double>::infinity();
};

// The entropy that only a share of `risk` of the held-out texts exceeds. Throws E_CONFIG for a risk
// outside [0, 1], E_GATE for a gate file without those percentiles.
double unknown_entropy(const GateFile& gate, double risk);

// The collaboration on threads of its own, which borrow it: nobody else may use it meanwhile. One
// encodes and routes; a second asks the experts about the texts before, if more wait.
class Predictor {
 public:
  // Throws E_CONFIG for a fusion that can only be read if the domain is known.
  Predictor(Collaboration& collaboration, PredictorOptions options);
  // Answers what waits, then ends the threads.
  ~Predictor();
  Predictor(const Predictor&) = delete;
  Predictor& operator=(const Predictor&) = delete;

  // A prediction per text, in their order. Requests are answered first come, first served, at once
  // if none is being answered; small ones that wait together share a batch unless `may_share` is
  // false, and none is split. The future throws what answering threw, which all requests of the
  // batch share. Thread-safe.
  std::future<std::vector<Prediction>> submit(std::vector<std::string> texts,
                                              bool may_share = true);
  // The same, answered before it returns and on the calling thread, whose number of threads it
  // sets, if nobody else is being answered: to wake another thread delays a lone text by a tenth of
  // what it takes. Thread-safe.
  std::future<std::vector<Prediction>> submit_here(std::vector<std::string> texts);
  // Forgets the requests that wait: their futures throw std::future_error. Thread-safe.
  void drop_waiting();

  const std::vector<std::string>& experts() const { return experts_; }

 private:
  struct Request {
    std::vector<std::string> texts;
    bool may_share;
    std::promise<std::vector<Prediction>> promise;
  };

  // Requests that are answered together, and what is known of their texts.
  struct Batch {
    std::vector<Request> requests;
    std::vector<std::string_view> texts;  // of the requests
    RoutedTexts routed;
  };

  void use_threads();
  static Batch batch_of(std::vector<Request> requests);
  void encode_requests();
  void answer_encoded();
  Batch next_batch();
  bool nothing_waits();
  bool encode(Batch& batch);
  void answer(Batch& batch, std::unique_lock<std::mutex> encoder);
  std::vector<Prediction> predictions(Batch& batch);
  static void fail(Batch& batch);
  Prediction::Candidate candidate(int64_t id, double probability) const;
  // What of a text of the batch speaks for the expert's label.
  static std::vector<Prediction::Opinion::Part> evidence(const Batch& batch, size_t row,
                                                         experts::Expert& expert, int64_t label);
  // Adds the opinions to the predictions [n] of the batch, whose answers have these ids.
  void add_opinions(const Batch& batch, const Answers& answers, const std::vector<int64_t>& ids,
                    std::vector<Prediction>& predictions) const;

  Collaboration& collaboration_;
  PredictorOptions options_;
  std::vector<std::string> experts_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Request> waiting_;
  bool ending_ = false;
  std::mutex encoding_now_, asking_;  // who uses encoder and gate; experts
  BoundedQueue<Batch> encoded_{1};
  std::atomic<int> behind_ = 0;  // batches that were encoded and not asked yet, or are asked now
  std::thread encoding_, answering_;  // the last members: they use all others
};

}  // namespace moecollab::pipeline
