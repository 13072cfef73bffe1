#include "registry/labels.h"
#include "registry/records.h"
#include "registry/shapes.h"

namespace moecollab::registry {
namespace {

const Record& library_record() {
  static const Record record{
      .keys = {{.name = "id",
                .meaning = "The library's reverse-DNS name, as compiled into it.",
                .required = true,
                .shape = &kIdShape},
               {.name = "version",
                .meaning = "The library's version, as compiled into it.",
                .required = true,
                .shape = &kVersionShape}}};
  return record;
}

const Record& expert_record() {
  static const Record record{
      .keys = {{.name = "id",
                .meaning = "The expert's reverse-DNS name; one library may serve many experts.",
                .required = true,
                .shape = &kIdShape},
               {.name = "name",
                .meaning = "Its name in a registry, unless the operator gives another.",
                .required = true,
                .shape = &kNameShape},
               {.name = "version",
                .meaning = "The expert's version (semver, without build metadata).",
                .required = true,
                .shape = &kVersionShape},
               {.name = "vendor", .meaning = "Who publishes it.", .fallback = "\"\""},
               {.name = "license", .meaning = "SPDX licence expression.", .fallback = "\"\""},
               {.name = "url", .meaning = "Where to read more.", .fallback = "\"\""},
               {.name = "description", .meaning = "One line for people.", .fallback = "\"\""}}};
  return record;
}

const Record& abi_record() {
  static const Record record{
      .keys = {{.name = "version",
                .meaning = "The lowest version of the C ABI that the library needs.",
                .required = true,
                .shape = &kAbiShape},
               {.name = "sdk",
                .meaning = "The SDK's release that built it, as in 1.0.0.",
                .fallback = "\"\"",
                .shape = &kSdkShape},
               {.name = "platform",
                .meaning = "The platform that the library is for, as in linux-x86_64.",
                .required = true,
                .shape = &kNameShape},
               {.name = "libtorch",
                .meaning = "The LibTorch that it was built with, as in ==2.15.*; only of a library "
                           "that links LibTorch.",
                .fallback = "\"\""}}};
  return record;
}

const Record& task_record() {
  static const Record record{
      .keys = {{.name = "domain",
                .meaning = "What its texts are about: the name of the data folder.",
                .required = true,
                .shape = &kNameShape},
               {.name = "label_space",
                .meaning = "Name, slash and version; experts of equal spaces answer together.",
                .required = true,
                .shape = &kLabelSpaceShape},
               {.name = "labels",
                .type = KeyType::kStrings,
                .meaning = "The labels, in the order of the logits.",
                .shape = &kPrintableShape,
                .min_items = 1,
                .max_items = kMaxInlineLabels,
                .distinct = true},
               {.name = "labels_file",
                .meaning = "Instead of `labels`: a file of the package with one label per line, "
                           "for more than 500.",
                .shape = &kPathShape},
               {.name = "partial",
                .type = KeyType::kBoolean,
                .meaning = "true: the labels are a subset of the space's.",
                .fallback = "false"},
               {.name = "language",
                .meaning = "Language of the texts, for people.",
                .fallback = "\"\""}},
      .may_be_empty = true,
      .not_both = {"labels", "labels_file"}};
  return record;
}

const Record& encoder_record() {
  static const Record record{
      .keys = {{.name = "fingerprint",
                .meaning = "Fingerprint of the encoder that the expert was made for.",
                .required = true,
                .shape = &kDigestShape}}};
  return record;
}

const Record& input_record() {
  static const Record record{
      .keys = {{.name = "needs",
                .type = KeyType::kStrings,
                .meaning = "What the expert reads.",
                .required = true,
                .words = {"text", "tokens", "hidden", "pooled"},
                .min_items = 1,
                .distinct = true},
               {.name = "layers",
                .type = KeyType::kIntegers,
                .meaning = "Layers of hidden and pooled: 0 the embeddings, i after block i, -1 "
                           "after the last. Absent: the last, if either is read.",
                .distinct = true},
               {.name = "pooling",
                .meaning = "How `pooled` is made from the tokens.",
                .fallback = "\"mean\"",
                .words = {"cls", "mean"}},
               {.name = "layout",
                .meaning = "How tokens lie in memory: packed, text after text, without padding.",
                .fallback = "\"ragged\"",
                .words = {"ragged"}},
               {.name = "max_batch",
                .type = KeyType::kInteger,
                .meaning = "The most texts per call. Absent: any number.",
                .least = 1},
               {.name = "dtypes",
                .type = KeyType::kStrings,
                .meaning = "Types of numbers that the expert takes.",
                .fallback = "[\"float32\"]",
                .words = {"float32", "bf16", "f16"},
                .min_items = 1,
                .distinct = true,
                .contains = "float32"},
               {.name = "encoder",
                .type = KeyType::kTable,
                .meaning = "The encoder that it was made for, or \"none\".",
                .fallback = "\"none\"",
                .words = {"none"},
                .record = &encoder_record()}}};
  return record;
}

const Record& output_record() {
  static const Record record{.keys = {{.name = "kind",
                                       .meaning = "What its numbers are.",
                                       .fallback = "\"logits\"",
                                       .words = {"logits", "probabilities", "generative"}},
                                      {.name = "temperature",
                                       .type = KeyType::kNumber,
                                       .meaning = "Logits are divided by it.",
                                       .fallback = "1.0",
                                       .above = 0},
                                      {.name = "deterministic",
                                       .type = KeyType::kBoolean,
                                       .meaning = "Whether equal texts get equal answers.",
                                       .fallback = "true"}}};
  return record;
}

const Record& training_record() {
  static const Record record{
      .keys = {
          {.name = "epochs", .type = KeyType::kInteger, .meaning = "Passes over the texts."},
          {.name = "batch", .type = KeyType::kInteger, .meaning = "Texts per step."},
          {.name = "patience",
           .type = KeyType::kInteger,
           .meaning = "Epochs without a better one before it stops."},
          {.name = "folds",
           .type = KeyType::kInteger,
           .meaning = "Parts whose texts are answered by models that did not learn them; 1: the "
                      "held-out fifth alone."},
          {.name = "lr", .type = KeyType::kNumber, .meaning = "Learning rate."},
          {.name = "warmup",
           .type = KeyType::kNumber,
           .meaning = "Share of the steps in which the learning rate rises."},
          {.name = "clip",
           .type = KeyType::kNumber,
           .meaning = "The largest norm of a step's gradient; 0: any."},
          {.name = "schedule",
           .meaning = "What the learning rate does after the warm-up.",
           .words = {"constant", "linear"}},
          {.name = "bucket",
           .type = KeyType::kBoolean,
           .meaning = "Whether texts of like length share a batch."},
          {.name = "precision",
           .meaning = "What products may be computed in.",
           .words = {"auto", "fp32", "bf16"}}}};
  return record;
}

const Record& files_record() {
  static const Record record{.each = Key{.meaning = "SHA-256 of this file of the package.",
                                         .required = true,
                                         .shape = &kDigestShape},
                             .key_shape = &kPathShape};
  return record;
}

const Record& claim_record() {
  static const Record record{
      .keys = {
          {.name = "dataset",
           .meaning = "SHA-256 of the data file.",
           .required = true,
           .shape = &kDigestShape},
          {.name = "split", .meaning = "Which part of the data.", .required = true},
          {.name = "metric",
           .meaning = "What is measured: accuracy or macro_f1, of the expert alone.",
           .required = true},
          {.name = "value", .type = KeyType::kNumber, .meaning = "The figure.", .required = true},
          {.name = "tolerance",
           .type = KeyType::kNumber,
           .meaning = "How far below it a repetition may be.",
           .required = true,
           .least = 0}}};
  return record;
}

}  // namespace

const Record& manifest_record() {
  static const Record record{
      .keys = {{.name = "schema",
                .type = KeyType::kInteger,
                .meaning = "The version of this format.",
                .required = true,
                .least = 1,
                .most = 1},
               {.name = "library",
                .type = KeyType::kTable,
                .meaning = "The shared library.",
                .required = true,
                .record = &library_record()},
               {.name = "expert",
                .type = KeyType::kTable,
                .meaning = "The expert: library, manifest and weights.",
                .required = true,
                .record = &expert_record()},
               {.name = "abi",
                .type = KeyType::kTable,
                .meaning = "What the library needs of its host; written by the build.",
                .required = true,
                .record = &abi_record()},
               {.name = "task",
                .type = KeyType::kTable,
                .meaning = "What it answers; empty in a kind, which waits to be trained.",
                .required = true,
                .record = &task_record()},
               {.name = "input",
                .type = KeyType::kTable,
                .meaning = "What it reads.",
                .required = true,
                .record = &input_record()},
               {.name = "output",
                .type = KeyType::kTable,
                .meaning = "What it gives.",
                .record = &output_record()},
               {.name = "training",
                .type = KeyType::kTable,
                .meaning = "How a kind is trained, unless options of train-expert say otherwise.",
                .record = &training_record()},
               {.name = "config",
                .type = KeyType::kTable,
                .meaning = "Settings that the library reads; free.",
                .fallback = "{}"},
               {.name = "files",
                .type = KeyType::kTable,
                .meaning = "Every other file of the package; written by the build.",
                .required = true,
                .record = &files_record()},
               {.name = "provenance",
                .type = KeyType::kTable,
                .meaning = "Where it comes from: data, licence, source; free.",
                .fallback = "{}"},
               {.name = "claim",
                .type = KeyType::kTables,
                .meaning = "A figure that the author promises.",
                .record = &claim_record()}}};
  return record;
}

}  // namespace moecollab::registry
