#include "registry/records.h"
#include "registry/shapes.h"

namespace moecollab::registry {
namespace {

const Record& wanted_encoder_record() {
  static const Record record{
      .keys = {
          {.name = "path",
           .meaning = "The encoder's folder: absolute, or relative to the registry's.",
           .required = true,
           .shape = &kPrintableShape},
          {.name = "max_length",
           .type = KeyType::kInteger,
           .meaning = "Tokens per text, [CLS] and [SEP] included; what is longer is cut and "
                      "counted. Absent: 256, or the encoder's positions if these are fewer.",
           .least = 3},
          {.name = "special_tokens_in_text",
           .meaning = "What \"[SEP]\" written in a text is: split, the special token; literal, "
                      "plain text.",
           .fallback = "\"split\"",
           .words = {"split", "literal"}},
          {.name = "fingerprint",
           .meaning = "The encoder's fingerprint (`moecollab doctor` prints it); another encoder "
                      "is refused. Absent: not checked.",
           .shape = &kDigestShape}}};
  return record;
}

const Record& domains_record() {
  static const Record record{
      .each = Key{.meaning = "The label space that data of this domain is labelled in.",
                  .required = true,
                  .shape = &kLabelSpaceShape},
      .key_shape = &kNameShape};
  return record;
}

const Record& domain_data_record() {
  static const Record record{
      .keys = {{.name = "format",
                .meaning = "The files' format; auto: by content and name.",
                .fallback = "\"auto\"",
                .words = {"auto", "jsonl", "json", "csv", "tsv"}},
               {.name = "quoting",
                .meaning = "What a double quote at the beginning of a field means.",
                .fallback = "\"auto\"",
                .words = {"auto", "csv", "none"}},
               {.name = "text_column",
                .meaning = "Column or key of the text. Absent: by the names in use.",
                .shape = &kPrintableShape},
               {.name = "label_column",
                .meaning = "Column or key of the label. Absent: by the names in use.",
                .shape = &kPrintableShape},
               {.name = "columns",
                .type = KeyType::kStrings,
                .meaning = "Names of the columns of tables without a header.",
                .shape = &kPrintableShape,
                .min_items = 1,
                .distinct = true},
               {.name = "join",
                .type = KeyType::kStrings,
                .meaning = "Columns whose values make the text, a blank between them.",
                .shape = &kPrintableShape,
                .min_items = 1,
                .distinct = true},
               {.name = "label_base",
                .type = KeyType::kInteger,
                .meaning = "Class number of the first label.",
                .fallback = "0"},
               {.name = "label_names",
                .type = KeyType::kStrings,
                .meaning = "Names of the class numbers, in their order. Absent: digits stay.",
                .shape = &kPrintableShape,
                .min_items = 1,
                .distinct = true}}};
  return record;
}

const Record& data_record() {
  static const Record record{.each = Key{.type = KeyType::kTable,
                                         .meaning = "How the files of this domain are read.",
                                         .record = &domain_data_record()},
                             .key_shape = &kNameShape};
  return record;
}

const Record& label_space_record() {
  static const Record record{
      .keys = {{.name = "name",
                .meaning = "Name, slash and version, as in emotion/1; stands once.",
                .required = true,
                .shape = &kLabelSpaceShape},
               {.name = "labels",
                .type = KeyType::kStrings,
                .meaning = "The labels, in order.",
                .required = true,
                .shape = &kPrintableShape,
                .min_items = 1,
                .distinct = true}}};
  return record;
}

Record with_keys(Record record, const std::vector<Key>& more) {
  record.keys.insert(record.keys.end(), more.begin(), more.end());
  return record;
}

// The keys of [policy] about experts in processes of their own.
std::vector<Key> process_keys() {
  return {{.name = "isolation",
           .meaning = "Which experts run in sandboxed processes of their own: auto, those "
                      "that were neither trained here nor signed by a trusted key; process, "
                      "all.",
           .fallback = "\"auto\"",
           .words = {"auto", "process"}},
          {.name = "call_deadline_ms",
           .type = KeyType::kInteger,
           .meaning = "How many milliseconds an answer of an expert's own process may take, "
                      "beside half a millisecond per token.",
           .fallback = "30000",
           .least = 1,
           .most = 86'400'000},
          {.name = "expert_memory_mb",
           .type = KeyType::kInteger,
           .meaning = "How many MiB an expert's own process may take; one that keeps a quarter "
                      "of it is replaced.",
           .fallback = "4096",
           .least = 64,
           .most = 1'048'576}};
}

const Record& policy_record() {
  static const Record record = with_keys(
      {.keys =
           {{.name = "on_missing",
             .meaning = "An expert that is missing or refused: fail, stop; skip, warn and "
                        "continue without it.",
             .fallback = "\"fail\"",
             .words = {"fail", "skip"}},
            {.name = "nan",
             .meaning = "An expert that answers with NaN or infinity: fail, stop; mask, leave "
                        "that answer out and count it; quarantine, do not run it again, and do "
                        "now as on_expert_failure says.",
             .fallback = "\"fail\"",
             .words = {"fail", "mask", "quarantine"}},
            {.name = "on_expert_failure",
             .meaning = "An expert that fails while it answers, and again in a new process if it "
                        "has its own: stop, the run ends; drop, the others share its weight for "
                        "the rest of the run.",
             .fallback = "\"stop\"",
             .words = {"stop", "drop"}},
            {.name = "conformance",
             .type = KeyType::kInteger,
             .meaning = "The level of `moecollab validate` that a package must reach before "
                        "`experts add` installs it; 0: none.",
             .fallback = "3",
             .least = 0,
             .most = 5},
            {.name = "probation_weight_cap",
             .type = KeyType::kNumber,
             .meaning = "The most weight that an expert on probation gets, as a share of 1: one "
                        "that was not trained here, or has the gate row of another version, "
                        "until `moecollab admit NAME` on fresh data. Absent: no cap.",
             .above = 0,
             .most = 1},
            {.name = "require_signature",
             .type = KeyType::kBoolean,
             .meaning = "Whether every package needs a signature by a key of [[trust]] that may "
                        "sign its id today. Packages that were trained in this registry need "
                        "none.",
             .fallback = "false"},
            {.name = "admission",
             .meaning = "Whether `experts add` and `upgrade` judge a package against the "
                        "others: with-data, if data is given; always, and refuse without "
                        "data; never. The first expert of a pool is not judged.",
             .fallback = "\"with-data\"",
             .words = {"with-data", "always", "never"}}}},
      process_keys());
  return record;
}

const Record& wanted_expert_record() {
  static const Record record{
      .keys = {
          {.name = "name",
           .meaning = "Name in this registry and folder under experts/; stands once.",
           .required = true,
           .shape = &kNameShape},
          {.name = "id",
           .meaning = "The id that the package must have.",
           .required = true,
           .shape = &kIdShape},
          {.name = "version",
           .meaning = "Range of versions. The one in registry.lock.toml is taken if it is "
                      "installed and in the range, else the highest installed one in it.",
           .fallback = "\"*\"",
           .shape = &kRangeShape},
          {.name = "pin",
           .meaning = "The version of this range that is taken, whatever else is installed or "
                      "locked; `moecollab experts pin` writes it.",
           .shape = &kVersionShape},
          {.name = "enabled",
           .type = KeyType::kBoolean,
           .meaning = "false: the expert stays installed and takes no part.",
           .fallback = "true"},
          {.name = "required",
           .type = KeyType::kBoolean,
           .meaning = "true: without this expert every run stops, whatever on_missing says.",
           .fallback = "false"},
          {.name = "weight_cap",
           .type = KeyType::kNumber,
           .meaning = "The most weight that the gate may give it, as a share of 1; the rest goes "
                      "to the others. Absent: no cap.",
           .above = 0,
           .most = 1},
          {.name = "config",
           .type = KeyType::kTable,
           .meaning = "Settings for the expert's library, over those of its manifest.",
           .fallback = "{}"},
          {.name = "device", .later = true}}};
  return record;
}

const Record& gate_record() {
  static const Record record{
      .keys = {{.name = "fusion",
                .meaning = "How answers are fused. Absent: as the gate was fitted.",
                .words = {"paper", "masked", "mixture", "logit-union"}},
               {.name = "top_k",
                .type = KeyType::kInteger,
                .meaning = "Experts that run per text. Absent: as the gate was fitted.",
                .least = 1}}};
  return record;
}

const Record& trust_record() {
  static const Record record{
      .keys = {
          {.name = "publisher", .meaning = "Who it is, for people.", .required = true},
          {.name = "key",
           .meaning = "The publisher's minisign public key: the line of 56 base64 characters "
                      "from the .pub file.",
           .required = true,
           .shape = &kPublicKeyShape},
          {.name = "scope",
           .type = KeyType::kStrings,
           .meaning = "Ids that the key may sign; * stands for any characters. Absent: all.",
           .shape = &kPrintableShape,
           .min_items = 1,
           .distinct = true},
          {.name = "expires",
           .meaning = "The last day (UTC) on which the key counts. Absent: it does not expire.",
           .shape = &kDateShape}}};
  return record;
}

const Record& revoked_record() {
  static const Record record{
      .keys = {{.name = "keys",
                .type = KeyType::kStrings,
                .meaning = "Minisign public keys whose signatures count no more.",
                .fallback = "[]",
                .shape = &kPublicKeyShape,
                .distinct = true},
               {.name = "packages",
                .type = KeyType::kStrings,
                .meaning = "Packages that are refused, each by the SHA-256 of its expert.toml.",
                .fallback = "[]",
                .shape = &kDigestShape,
                .distinct = true}}};
  return record;
}

}  // namespace

const Record& registry_record() {
  static const Record record{
      .keys = {{.name = "schema",
                .type = KeyType::kInteger,
                .meaning = "The version of this format.",
                .required = true,
                .least = 1,
                .most = 1},
               {.name = "encoder",
                .type = KeyType::kTable,
                .meaning = "The encoder that every expert of this registry reads.",
                .record = &wanted_encoder_record()},
               {.name = "domains",
                .type = KeyType::kTable,
                .meaning = "Label space per domain, for a domain whose experts do not settle it.",
                .record = &domains_record()},
               {.name = "data",
                .type = KeyType::kTable,
                .meaning = "Per domain, how its files of texts are read, unless flags say it.",
                .record = &data_record()},
               {.name = "label_space",
                .type = KeyType::kTables,
                .meaning = "A label space of the operator's; others come with the manifests.",
                .record = &label_space_record()},
               {.name = "policy",
                .type = KeyType::kTable,
                .meaning = "What happens if something is missing or wrong.",
                .record = &policy_record()},
               {.name = "expert",
                .type = KeyType::kTables,
                .meaning = "An expert that takes part; one table per expert.",
                .record = &wanted_expert_record()},
               {.name = "gate",
                .type = KeyType::kTable,
                .meaning = "How the gate is read, if not as it was fitted.",
                .record = &gate_record()},
               {.name = "trust",
                .type = KeyType::kTables,
                .meaning = "A publisher whose signatures count; one table per publisher.",
                .record = &trust_record()},
               {.name = "revoked",
                .type = KeyType::kTable,
                .meaning = "What counts no more, whatever else is said here.",
                .record = &revoked_record()}},
      .may_be_empty = true};
  return record;
}

}  // namespace moecollab::registry
