#include "encoder/encoder_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/json.h"
#include "weights/writer.h"

namespace moecollab::encoder {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const Json kConfig = {{"model_type", "bert"},           {"hidden_size", 8},
                      {"num_hidden_layers", 1},         {"num_attention_heads", 2},
                      {"intermediate_size", 16},        {"vocab_size", 5},
                      {"max_position_embeddings", 512}, {"type_vocab_size", 2}};

class EncoderFolderTest : public testing::Test {
 protected:
  EncoderFolderTest() { fs::create_directory(root()); }

  fs::path root() const { return temporary_.path() / "encoder"; }
  void write(const std::string& name, const std::string& bytes = "x") {
    fs::create_directories((root() / name).parent_path());
    write_file_atomic(root() / name, bytes);
  }
  void write_json(const std::string& name, const Json& json) { write(name, to_line(json)); }

  // "code message | hint" of opening the folder and finding its weights.
  std::string refusal(const fs::path& folder, std::optional<int> max_length = {}) const {
    try {
      open_encoder_folder(folder, max_length).checkpoint();
    } catch (const Error& error) {
      return error.code() + " " + error.what() + " | " + error.hint();
    }
    return "accepted";
  }
  std::string refusal() const { return refusal(root()); }

 private:
  TemporaryFolder temporary_;
};

TEST_F(EncoderFolderTest, APlainFolderIsTheModel) {
  write_json("config.json", kConfig);
  write("model.safetensors");
  const EncoderFolder folder = open_encoder_folder(root());
  EXPECT_EQ(folder.model, root());
  EXPECT_EQ(folder.max_length, 256);
  EXPECT_THAT(folder.notes, IsEmpty());
  EXPECT_EQ(folder.checkpoint().file(), root() / "model.safetensors");
}

TEST_F(EncoderFolderTest, FewerPositionsLowerTheDefaultWithANote) {
  Json config = kConfig;
  config["max_position_embeddings"] = 128;
  write_json("config.json", config);
  const EncoderFolder folder = open_encoder_folder(root());
  EXPECT_EQ(folder.max_length, 128);
  EXPECT_THAT(
      folder.notes,
      ElementsAre(HasSubstr("has 128 positions: texts are cut at 128 tokens instead of 256")));
  EXPECT_THAT(open_encoder_folder(root(), 100).notes, IsEmpty());
  EXPECT_EQ(open_encoder_folder(root(), 128).max_length, 128);
  EXPECT_THAT(refusal(root(), 129), AllOf(HasSubstr("E_CONFIG max_length is 129, the encoder " +
                                                    root().string() + " has 128 positions"),
                                          HasSubstr("at most 128")));
}

// As sentence-transformers up to 0.3 wrote it.
TEST_F(EncoderFolderTest, TheFirstModulesFolderIsTheModel) {
  write("modules.json",
        R"([{"idx": 0, "path": "0_Transformer", "type": "sentence_transformers.models.Transformer"},
      {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}])");
  write_json("0_Transformer/config.json", kConfig);
  write("0_Transformer/model.safetensors");
  write("0_Transformer/sentence_bert_config.json", R"({"max_seq_length": 128})");
  write("1_Pooling/config.json",
        R"({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false})");
  const EncoderFolder folder = open_encoder_folder(root());
  EXPECT_EQ(folder.model, root() / "0_Transformer");
  EXPECT_EQ(folder.checkpoint().folder, root() / "0_Transformer");
  EXPECT_EQ(folder.max_length, 256);
  EXPECT_THAT(folder.notes,
              ElementsAre(HasSubstr("1_Pooling/config.json asks for cls pooling"),
                          AllOf(HasSubstr("sentence_bert_config.json says max_seq_length 128"),
                                HasSubstr("cut at 256 tokens all the same"))));
  EXPECT_THAT(open_encoder_folder(root(), 128).notes, ElementsAre(HasSubstr("cls pooling")));
}

// As sentence-transformers 5 and 6 write it.
TEST_F(EncoderFolderTest, NewerSpellingsOfModulesAreRead) {
  const auto module = [](const char* path, const char* type) {
    return Json{{"path", path}, {"type", type}};
  };
  write_json(
      "modules.json",
      Json::array({module("", "sentence_transformers.base.modules.transformer.Transformer"),
                   module("1_Pooling",
                          "sentence_transformers.sentence_transformer.modules.pooling.Pooling"),
                   module("2_Dense", "sentence_transformers.base.modules.dense.Dense"),
                   module("3_Normalize", "sentence_transformers.x.Normalize")}));
  write_json("config.json", kConfig);
  write("tokenizer_config.json", R"({"model_max_length": 200})");
  write("1_Pooling/config.json", R"({"pooling_mode": "max"})");
  const EncoderFolder folder = open_encoder_folder(root());
  EXPECT_EQ(folder.model, root());
  EXPECT_THAT(folder.notes,
              ElementsAre(HasSubstr("asks for max pooling"), HasSubstr("a module Dense"),
                          HasSubstr("tokenizer_config.json says model_max_length 200")));
  write("1_Pooling/config.json", R"({"pooling_mode": "mean", "pooling_mode_mean_tokens": true})");
  write("1_Pooling/config.json", R"({"pooling_mode": "mean"})");
  EXPECT_EQ(open_encoder_folder(root()).notes.size(), 2U);
}

TEST_F(EncoderFolderTest, DamagedModulesAreRefusedByName) {
  write_json("config.json", kConfig);
  write("model.safetensors");
  const auto with = [&](const std::string& bytes) {
    write("modules.json", bytes);
    return refusal();
  };
  const std::string start = "E_ENCODER " + (root() / "modules.json").string() + ": ";
  EXPECT_THAT(with("{"), HasSubstr(start + "not JSON"));
  EXPECT_THAT(with("{}"), HasSubstr(start + "it is no list of modules"));
  EXPECT_THAT(with("[]"), HasSubstr(start + "it is no list of modules"));
  EXPECT_THAT(with("[3]"), HasSubstr(start + "a module has no text `type`"));
  EXPECT_THAT(with(R"([{"type": "x.Transformer", "path": 3}])"), HasSubstr("no text `path`"));
  EXPECT_THAT(with(R"([{"type": "x.StaticEmbedding", "path": ""}])"),
              HasSubstr(start + "the first module is a StaticEmbedding, expected a Transformer"));
  for (const char* path : {"../x", "/etc", "a/../../b", "a\\u0000b"}) {
    EXPECT_THAT(with(fmt::format(R"([{{"type": "x.Transformer", "path": "{}"}}])", path)),
                HasSubstr("outside the folder"));
  }
  const std::string good = R"([{"type": "x.Transformer", "path": ""}])";
  EXPECT_EQ(with(good), "accepted");
  for (size_t i = 0; i < good.size(); ++i) {
    EXPECT_THAT(with(good.substr(0, i)), testing::StartsWith("E_ENCODER ")) << i;
    for (const char c : {'"', '[', '}', '\0', '\xFF', '/'}) {
      std::string bad = good;
      bad[i] = c;
      const std::string seen = with(bad);
      EXPECT_TRUE(seen == "accepted" || seen.starts_with("E_ENCODER ")) << bad << ": " << seen;
    }
  }
}

TEST_F(EncoderFolderTest, AFolderThatIsNoneIsRefused) {
  EXPECT_THAT(
      refusal("/nowhere/encoder"),
      AllOf(HasSubstr("E_ENCODER the encoder /nowhere/encoder cannot be read: No such file"),
            HasSubstr("--encoder"), HasSubstr("[encoder] path")));
  write("file");
  EXPECT_THAT(refusal(root() / "file"), HasSubstr("is a file, expected a folder"));
  fs::create_symlink("../old", root() / "link");
  EXPECT_THAT(refusal(root() / "link"), HasSubstr("it is a link to ../old, which does not exist"));
}

TEST_F(EncoderFolderTest, AnEmptyFolderAndOneAboveTheEncoderAreNamed) {
  EXPECT_THAT(refusal(), HasSubstr(root().string() + " is empty"));
  write("1_Pooling/config.json", R"({"pooling_mode": "mean"})");
  EXPECT_THAT(refusal(), HasSubstr("holds no config.json; it holds 1_Pooling"));
  write_json("snapshots/0a1b/config.json", kConfig);
  write("snapshots/0a1b/vocab.txt");
  EXPECT_THAT(refusal(), AllOf(HasSubstr("an encoder lies below it: snapshots/0a1b"),
                               HasSubstr("| name " + (root() / "snapshots/0a1b").string())));
}

TEST_F(EncoderFolderTest, LinksThatLeadNowhereNameTheirTarget) {
  fs::create_symlink("../../blobs/0123", root() / "config.json");
  EXPECT_THAT(refusal(), HasSubstr("config.json cannot be read: it is a link to ../../blobs/0123, "
                                   "which does not exist"));
}

TEST_F(EncoderFolderTest, PointersOfGitLfsAreNamedInPlaceOfEachFile) {
  const std::string pointer =
      "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 612\n";
  write_json("config.json", kConfig);
  for (const char* name : {"model.safetensors", "config.json", "modules.json"}) {
    write(name, pointer);
    EXPECT_THAT(refusal(),
                AllOf(HasSubstr(std::string(name) + " is a pointer of git-lfs in place of "
                                                    "612 bytes"),
                      HasSubstr("`git lfs pull` in " + root().string())));
  }
}

TEST_F(EncoderFolderTest, WeightsOfAnotherFormatAreNamed) {
  write_json("config.json", kConfig);
  EXPECT_THAT(refusal(), HasSubstr("holds no model.safetensors; it holds config.json |"));
  const std::pair<const char*, const char*> formats[] = {
      {"onnx/model.onnx", "onnx, weights of ONNX"},
      {"model.gguf", "model.gguf, weights of GGUF"},
      {"tf_model.h5", "tf_model.h5, weights of TensorFlow"},
      {"flax_model.msgpack", "flax_model.msgpack, weights of Flax"},
      {"model-00001-of-00002.safetensors", "fetch model.safetensors.index.json too"},
      {"pytorch_model.bin", "pytorch_model.bin, a pickle"}};
  for (const auto& [name, text] : formats) {
    write(name);
    EXPECT_THAT(refusal(), AllOf(HasSubstr("E_ENCODER"),
                                 HasSubstr("holds no model.safetensors, but"), HasSubstr(text)));
    if (std::string_view(name) != "pytorch_model.bin")
      fs::remove_all(root() / fs::path(name).begin()->string());
  }
  EXPECT_THAT(refusal(), HasSubstr("torch.load('pytorch_model.bin', weights_only=True)"));
  fs::rename(root() / "pytorch_model.bin", root() / "training_args.bin");
  EXPECT_THAT(refusal(), HasSubstr("it holds config.json, training_args.bin"));
  fs::remove(root() / "config.json");
  write("model.gguf");
  EXPECT_THAT(refusal(), HasSubstr("holds no config.json, but model.gguf, weights of GGUF"));
}

TEST_F(EncoderFolderTest, OtherArchitecturesAreNamed) {
  for (const char* type : {"roberta", "electra", "xlm-roberta", "mpnet", "distilbert"}) {
    Json config = kConfig;
    config["model_type"] = type;
    write_json("config.json", config);
    EXPECT_THAT(refusal(), AllOf(HasSubstr("`model_type` is \"" + std::string(type) + "\""),
                                 HasSubstr("only BERT's forward pass is computed")));
  }
  Json config = kConfig;
  config.erase("model_type");
  config["architectures"] = {"RobertaModel"};
  write_json("config.json", config);
  EXPECT_THAT(refusal(), HasSubstr("`architectures` is [\"RobertaModel\"]"));
  config["architectures"] = {"BertForMaskedLM"};
  write_json("config.json", config);
  write("model.safetensors");
  EXPECT_EQ(refusal(), "accepted");
}

}  // namespace
}  // namespace moecollab::encoder
