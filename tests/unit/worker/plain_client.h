// An expert's process called without tensors: one that reads texts and has two labels.
#pragma once

#include <moecollab/abi.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/files.h"
#include "experts/library.h"
#include "worker/process.h"

namespace moecollab::worker {

// Made by the constructor, asked by answers(). Throws as Process.
class PlainClient {
  experts::SealedLibrary sealed_;

 public:
  PlainClient(const fs::path& library, const ProcessLimits& limits, RunContext context = {})
      : sealed_(read_file(library, "E_TEST"), library.filename(), false),
        process("hostile", sealed_.descriptor(), limits, context),
        limits_(limits) {
    Call load;
    load.op = Op::kLoad;
    require(process.call(load, "load", limits.call));
    Call create;
    create.op = Op::kCreate;
    create.create.classes = 2;
    create.create.inputs = MOEC_INPUT_TEXT;
    require(process.call(create, "create", limits.call));
  }

  // [texts, 2], as copies.
  std::vector<float> answers(const std::vector<std::string>& texts) {
    std::vector<Block> blocks;
    const auto lend = [&](const void* bytes, size_t size) {
      Block& block = blocks.emplace_back(process.in(), size);
      std::memcpy(block.data(), bytes, size);
      return block.offset();
    };
    std::vector<WireText> wires;
    std::vector<int64_t> rows;
    for (const std::string& text : texts) {
      wires.push_back({lend(text.data(), text.size()), text.size()});
      rows.push_back(static_cast<int64_t>(rows.size()));
    }
    const size_t count = 2 * texts.size();
    const Block logits(process.out(), count * sizeof(float));
    Call call;
    call.op = Op::kForward;
    call.batch.rows = static_cast<int64_t>(texts.size());
    call.batch.row_ids = lend(rows.data(), rows.size() * sizeof(int64_t));
    call.batch.texts = lend(wires.data(), wires.size() * sizeof(WireText));
    WireTensor& out = call.tensors[0];
    out.offset = logits.offset();
    out.in_out = 1;
    out.type_code = MOEC_FLOAT;
    out.ndim = 2;
    out.shape[0] = call.batch.rows;
    out.shape[1] = out.strides[0] = 2;
    out.strides[1] = 1;
    require(process.call(call, "forward", limits_.call));
    std::vector<float> copy(count);
    std::memcpy(copy.data(), logits.data(), count * sizeof(float));
    return copy;
  }

  Process process;

 private:
  static void require(const Reply& reply) {
    if (reply.status != MOEC_OK)
      throw Error("E_TEST", std::string(reply.code) + ": " + reply.message);
  }

  ProcessLimits limits_;
};

}  // namespace moecollab::worker
