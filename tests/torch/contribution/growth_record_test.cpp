#include "contribution/growth_record.h"

#include <gtest/gtest.h>

namespace moecollab::contribution {
namespace {

GrowthRecord record() {
  GrowthRecord r;
  r.experts = {"b", "a"};
  r.domain = "new";
  r.texts = 64;
  r.source = "data";
  r.old_weights = {{"news", 2.0}, {"law", 4.0}};
  r.lowered_by = 0.25;
  r.seed = 3;
  r.replay = 128;
  return r;
}

// gate.toml is written from this: a reader of an older registry must find every key.
TEST(GrowthRecordTest, KeepsItsKeysAndTheirOrder) {
  GrowthRecord r = record();
  EXPECT_EQ(to_line(to_json(r)),
            R"({"experts":["b","a"],"domain":"new","texts":64,"source":"data","method":"fit",)"
            R"("old_weights":{"news":2.0,"law":4.0},"lowered_by":0.25,"seed":3,"replay":128,)"
            R"("guard":"passed","unchecked":[]})");
  r.prototype = true;
  r.unchecked = {"law"};
  const Json json = to_json(r);
  EXPECT_EQ(json["method"], "prototype");
  EXPECT_EQ(json["guard"], "not checked");
  EXPECT_EQ(json["unchecked"], Json::array({"law"}));
}

TEST(GrowthRecordTest, AResultHoldsTheRecord) {
  GrowthResult result;
  result.gate = "registry/gate";
  result.record = record();
  result.rows = 3;
  result.old_domains = {{"news", {10, 0.5, 0.25}}};
  Json json = to_json(result);
  EXPECT_TRUE(json["loss"].is_null()) << "of a prototype";
  EXPECT_TRUE(json["new_domain"].is_null());
  EXPECT_EQ(json["old_domains"]["news"]["after"], 0.25);
  EXPECT_EQ(json["gate"], "registry/gate");
  const Json part = to_json(result.record);
  for (const auto& [key, value] : part.items()) EXPECT_EQ(json[key], value);
}

}  // namespace
}  // namespace moecollab::contribution
