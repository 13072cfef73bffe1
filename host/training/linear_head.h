// The linear multi-task head: one softmax over the union of labels on frozen features. The model
// that a collaboration has to beat: `multi_task_head` of the report.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/run_context.h"
#include "fusion/label_space.h"
#include "gate/gate.h"
#include "registry/layout.h"

namespace moecollab::training {

struct HeadTrainingOptions {
  int32_t epochs = 100;  // at most; the best on the held-out texts counts, then all are fitted
  int32_t patience = 5;  // epochs without a lower held-out loss before it stops
  double lr = 1e-3;
  double weight_decay = 0.05;
  int64_t batch = 256;  // texts
  uint64_t seed = 1;
};

// Throws E_CONFIG for a value outside its range.
void validate(const HeadTrainingOptions& options);

// Rows that the head learns from.
struct HeadData {
  at::Tensor z;                // [n, D] frozen features
  at::Tensor targets;          // [n] int64, columns of the head
  std::vector<bool> held_out;  // [n]; all false: nothing to choose the epoch on
};

struct HeadFit {
  gate::Gate linear;  // a linear map on standardised features; a row is a label
  int32_t epochs = 0;
  int64_t texts = 0;
  double held_out_loss = 0, held_out_accuracy = 0;  // NaN if nothing is held out
};

// AdamW on the cross-entropy over all labels: first without the held-out texts, to find the epoch
// with the lowest loss on them, then afresh on everything for as many epochs. Equal seeds give
// equal bits. Throws E_TRAIN_DIVERGED if the loss stops being finite, E_INTERRUPTED between epochs.
HeadFit fit_head(const HeadData& data, const std::vector<encoder::PooledKey>& features,
                 int64_t labels, const HeadTrainingOptions& options, const RunContext& context);

// registry/baselines/head.{toml,safetensors}.
struct HeadFile {
  gate::Gate linear;
  std::string encoder_fingerprint;
  std::vector<fusion::LabelSpace> spaces;   // the columns: the labels of these, in order
  std::map<std::string, std::string> data;  // domain -> SHA-256 of its training file
  uint64_t seed = 0;
  int32_t epochs = 0;
  int64_t texts = 0;
  double held_out_accuracy = 0;

  int64_t columns() const;
};

// Both files, each atomically, tensors first; head.toml holds the tensors' digest.
void write_head(const fs::path& registry, const HeadFile& head);

// Throws E_CKPT_BASELINE naming the file for a missing, damaged or contradictory head.
HeadFile read_head(const fs::path& registry);

// Global ids [columns] of the head's columns in the union. Throws E_CKPT_BASELINE naming what
// disagrees: another encoder, or label spaces that are not exactly those of the union.
std::vector<int64_t> head_columns(const HeadFile& head, const std::string& encoder_fingerprint,
                                  const fusion::LabelUnion& labels);

}  // namespace moecollab::training
