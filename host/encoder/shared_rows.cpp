#include "encoder/shared_rows.h"

#include <fmt/format.h>

#include <cstring>

#include "base/strings.h"

namespace moecollab::encoder {
namespace {

// Where the numbers of a row lie.
struct Piece {
  char* at;
  size_t bytes;
};

Piece piece_of(const at::Tensor& tensor, int64_t first, int64_t count) {
  const int64_t width = tensor.size(1) * tensor.element_size();
  return {static_cast<char*>(tensor.data_ptr()) + first * width,
          static_cast<size_t>(count * width)};
}

// All that the request is for of a row, in an order that all ranks share.
std::vector<Piece> pieces(const FeatureRequest& request, const Features& out, int64_t row) {
  std::vector<Piece> all;
  for (const PooledKey& key : request.pooled) all.push_back(piece_of(out.pooled.at(key), row, 1));
  const auto i = static_cast<size_t>(row);
  for (const int layer : request.hidden)
    all.push_back(piece_of(out.hidden.at(layer), out.row_offsets[i], out.tokens(row)));
  if (request.stop_at) {
    const std::vector<int32_t>& offsets = out.stopped->row_offsets;
    all.push_back(piece_of(out.stopped->states, offsets[i], offsets[i + 1] - offsets[i]));
  }
  return all;
}

// The step's name: ranks that want other features, too, are then at different steps.
std::string step_of(std::span<const int64_t> rows, const FeatureRequest& request) {
  std::vector<std::string> wanted;
  for (const PooledKey& key : request.pooled)
    wanted.push_back(fmt::format("{} of layer {}", name(key.pooling), key.layer));
  for (const int layer : request.hidden) wanted.push_back(fmt::format("states of layer {}", layer));
  if (request.stop_at) wanted.push_back(fmt::format("as far as layer {}", *request.stop_at));
  return fmt::format("features of rows {}: {}", digest_of(rows), join(wanted, ", "));
}

// use(piece) for each piece of the texts of a rank's shards.
template <typename Use>
void for_each_piece(int rank, const Ranks& ranks, const Shards& shards,
                    std::span<const int64_t> rows, const FeatureRequest& request,
                    const Features& out, Use use) {
  for (const int shard : shards_of(rank, ranks)) {
    for (const int64_t text : shards[static_cast<size_t>(shard)]) {
      for (const Piece& piece : pieces(request, out, rows[static_cast<size_t>(text)])) use(piece);
    }
  }
}

}  // namespace

void share_rows(Ranks& ranks, const Shards& shards, std::span<const int64_t> rows,
                const FeatureRequest& request, Features& out) {
  std::string own;
  for_each_piece(ranks.rank(), ranks, shards, rows, request, out,
                 [&](const Piece& piece) { own.append(piece.at, piece.bytes); });
  const std::vector<std::string> all = ranks.exchange(step_of(rows, request), std::move(own));
  for (int rank = 0; rank < ranks.size(); ++rank) {
    if (rank == ranks.rank()) continue;
    const std::string& bytes = all[static_cast<size_t>(rank)];
    size_t expected = 0;
    for_each_piece(rank, ranks, shards, rows, request, out,
                   [&](const Piece& piece) { expected += piece.bytes; });
    require_bytes(rank, bytes.size(), expected, "features");
    size_t offset = 0;
    for_each_piece(rank, ranks, shards, rows, request, out, [&](const Piece& piece) {
      std::memcpy(piece.at, bytes.data() + offset, piece.bytes);
      offset += piece.bytes;
    });
  }
}

}  // namespace moecollab::encoder
