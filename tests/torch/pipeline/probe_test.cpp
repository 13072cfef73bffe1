#include "pipeline/probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "experts/in_process_expert.h"
#include "torch/tiny_encoder.h"

namespace moecollab::pipeline {
namespace {

using moecollab::testing::TinyEncoder;
using ::testing::AllOf;
using ::testing::HasSubstr;

// A library that answers 1 to everything, and an extension that may say otherwise.
struct ProbeTest : ::testing::Test {
  experts::InProcessExpert expert(const Json& config) {
    const std::string bytes =
        read_file(fs::path(MOECOLLAB_TEST_PACKAGES) / "bent" / "libbent.so", "E_TEST");
    experts::ExpertSetup setup;
    setup.name = "bent";
    setup.classes = 2;
    setup.inputs = MOEC_INPUT_POOLED;
    setup.pooling = encoder::Pooling::kMean;
    setup.layers = {2};
    setup.encoder = &encoder.config();
    setup.config = config;
    setup.weights = {{"unused", at::zeros({1})}};
    return experts::InProcessExpert(
        experts::Library::load(bytes, sha256_hex(bytes), "libbent.so", true), std::move(setup));
  }
  // A package whose probe.json says that both logits are `logit`.
  registry::Package package(double logit) {
    const Json probe = {{"schema", 1},
                        {"texts", {"the film"}},
                        {"logits", Json::array({Json::array({logit, logit})})},
                        {"tolerance", 1e-3}};
    write_file_atomic(folder.path() / kProbeFile, to_line(probe));
    registry::Package package;
    package.folder = folder.path();
    package.manifest.files[kProbeFile] = "";
    return package;
  }
  std::string refusal(const Json& config, double logit) {
    experts::InProcessExpert checked = expert(config);
    try {
      check_probe(package(logit), checked, &encoder);
    } catch (const Error& error) {
      return error.code() + ": " + error.what();
    }
    return "none";
  }

  TemporaryFolder folder;
  TinyEncoder tiny;
  encoder::Encoder encoder{{tiny.folder(), 32, {}}, Compute{}, 64, nullptr, {}};
};

TEST_F(ProbeTest, LibraryAndHostMustBothGiveWhatThePackageSays) {
  EXPECT_EQ(refusal(Json::object(), 1), "none");
  EXPECT_THAT(refusal(Json::object(), 2),
              AllOf(HasSubstr("E_DESC_PROBE"), HasSubstr("here the library gives 1 ")));
}

TEST_F(ProbeTest, AnExtensionThatSaysAnotherModelIsRefused) {
  const Json lies = {{"other_answers", 1}};
  EXPECT_THAT(refusal(lies, 1),
              AllOf(HasSubstr("E_DESC_PROBE"), HasSubstr("the package says logit 1, here the host"),
                    HasSubstr("gives 2 ")));
  EXPECT_THAT(refusal(lies, 2), HasSubstr("here the library gives 1 "));
}

}  // namespace
}  // namespace moecollab::pipeline
