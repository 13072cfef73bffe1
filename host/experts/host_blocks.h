// moecollab.draft.blocks/1: an expert's own blocks, computed by the host.
#pragma once

#include <moecollab/ext/draft/blocks.h>

namespace moecollab::experts {

const moec_ext_blocks& host_blocks();

}  // namespace moecollab::experts
