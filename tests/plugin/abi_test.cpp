// What every expert library owes its host, checked on the stock ones and on the samples.
#include <gmock/gmock.h>

#include <cstring>
#include <deque>

#include "plugin/elf_file.h"
#include "plugin/loaded_library.h"

namespace moecollab::plugin_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

struct Subject {
  const char* name;
  const char* path;
  const char* id;
  const char* version;
  uint32_t inputs;
  int32_t classes;
};
void PrintTo(const Subject& subject, std::ostream* out) { *out << subject.name; }

const Subject kSubjects[] = {
    {"adapter", MOECOLLAB_ADAPTER, "org.moecollab.adapter", "0.1.0", MOEC_INPUT_POOLED, 3},
    {"lexical", MOECOLLAB_LEXICAL, "org.moecollab.lexical", "0.1.0", MOEC_INPUT_TEXT, 3},
    {"keywords", MOECOLLAB_KEYWORDS, "com.example.keywords", "1.0.0", MOEC_INPUT_TEXT, 4},
    {"centroid", MOECOLLAB_CENTROID, "com.example.centroid", "1.0.0", MOEC_INPUT_POOLED, 3},
};

const std::vector<std::string> kTexts = {"the team won", "share prices fell", "a new virus",
                                         "the president spoke", "x"};

class Library : public ::testing::TestWithParam<Subject> {
 protected:
  ExpertSpec spec() const {
    ExpertSpec spec;
    spec.classes = GetParam().classes;
    spec.inputs = GetParam().inputs;
    if (spec.inputs == MOEC_INPUT_POOLED) {
      spec.pooling = MOEC_POOLING_MEAN;
      spec.layers = {6};
      spec.hidden = 4;
    }
    return spec;
  }

  // kTexts, or as many rows of features; [first, end) of them.
  Batch rows(size_t first, size_t end) const {
    if (GetParam().inputs == MOEC_INPUT_TEXT) {
      return Batch({kTexts.begin() + static_cast<std::ptrdiff_t>(first),
                    kTexts.begin() + static_cast<std::ptrdiff_t>(end)},
                   static_cast<int64_t>(first));
    }
    views_.emplace_back(std::vector<int64_t>{static_cast<int64_t>(end - first), 4},
                        features_.data() + 4 * first);
    return Batch(views_.back());
  }
  Batch all_rows() const { return rows(0, kTexts.size()); }

  // An expert that knows something.
  LoadedExpert ready() {
    LoadedExpert expert(library_, spec());
    if (library_.extension<moec_ext_fit>(MOEC_EXT_FIT) != nullptr) {
      expert.fit(all_rows(), {0, 1, 2, 0, 1});
    }
    if (library_.extension<moec_ext_params>(MOEC_EXT_PARAMS) != nullptr) {
      parameters_ = std::make_unique<BoundParameters>(library_, expert);
      parameters_->init(1);
    }
    return expert;
  }

  moec_status forward(const LoadedExpert& expert, const moec_batch* batch, const moec_tensor* y,
                      moec_error* error) const {
    const moec_exec exec = one_thread();
    return library_->forward(expert.get(), &exec, batch, y, error);
  }

  const LoadedLibrary library_{GetParam().path};
  const Floats features_{{5, 4}, {1, 2, 3, 4, -1, 0, 1, 0, 2, 2, -2, 5, 0, 1, 0, 0, 9, 8, 7, -6}};
  mutable std::deque<Floats> views_;
  std::unique_ptr<BoundParameters> parameters_;
};

TEST_P(Library, ExportsItsEntryAlone) {
  EXPECT_THAT(ElfFile(GetParam().path).defined, ElementsAre("moec_plugin_entry"));
}

TEST_P(Library, NeedsNoTorch) {
  const ElfFile file(GetParam().path);
  EXPECT_FALSE(file.undefined.empty());
  for (const std::string& symbol : file.undefined) {
    EXPECT_THAT(symbol, Not(HasSubstr("torch")));
    EXPECT_THAT(symbol, Not(HasSubstr("c10")));
    EXPECT_THAT(symbol, Not(HasSubstr("2at")));
  }
}

TEST_P(Library, NoteAndDescriptionAgree) {
  const ElfFile file(GetParam().path);
  ASSERT_EQ(file.notes.size(), 1U);
  const moec_note& note = file.notes.front();
  const moec_library_info& info = *library_->describe();
  EXPECT_STREQ(note.id, GetParam().id);
  EXPECT_EQ(std::string(info.id.data, info.id.size), GetParam().id);
  EXPECT_STREQ(note.version, GetParam().version);
  EXPECT_EQ(std::string(info.version.data, info.version.size), GetParam().version);
  EXPECT_STREQ(note.sdk, MOEC_SDK_VERSION);
  EXPECT_EQ(std::string(info.sdk.data, info.sdk.size), MOEC_SDK_VERSION);
  EXPECT_EQ(note.abi_major, library_->abi_major);
  EXPECT_EQ(note.abi_minor, library_->abi_minor);
  EXPECT_EQ(note.min_host_minor, library_->min_host_minor);
  EXPECT_EQ(note.required_flags, 0U);
}

TEST_P(Library, EntryGivesTheSameTableAgain) {
  EXPECT_EQ(library_.entry(), library_.entry());
  EXPECT_EQ(library_->struct_size, sizeof(moec_library));
}

TEST_P(Library, UnknownExtensionsAreNull) {
  EXPECT_EQ(library_->get_extension("moecollab.train/99"), nullptr);
  EXPECT_EQ(library_->get_extension(""), nullptr);
}

TEST_P(Library, RequirementsRepeatTheManifest) {
  const LoadedExpert expert(library_, spec());
  moec_requirements out{};
  out.struct_size = sizeof(out);
  LoadedExpert::check([&](moec_error* e) { return library_->requirements(expert.get(), &out, e); });
  EXPECT_EQ(out.classes, GetParam().classes);
  EXPECT_EQ(out.inputs, GetParam().inputs);
  EXPECT_EQ(out.layout, MOEC_LAYOUT_RAGGED);
  const std::vector<int32_t> layers(out.layers, out.layers + out.layer_count);
  EXPECT_EQ(layers, spec().layers);
}

// A host with older headers has a shorter struct, one with newer headers a longer one.
TEST_P(Library, RequirementsStayInsideTheHostsStruct) {
  const LoadedExpert expert(library_, spec());
  alignas(moec_requirements) unsigned char bytes[sizeof(moec_requirements) + 16];
  for (const size_t size : {offsetof(moec_requirements, inputs), sizeof(bytes)}) {
    std::memset(bytes, 0xAB, sizeof(bytes));
    auto* out = reinterpret_cast<moec_requirements*>(bytes);
    out->struct_size = static_cast<uint32_t>(size);
    LoadedExpert::check(
        [&](moec_error* error) { return library_->requirements(expert.get(), out, error); });
    EXPECT_EQ(out->struct_size, size);
    EXPECT_EQ(out->classes, GetParam().classes);
    for (size_t i = std::min(size, sizeof(moec_requirements)); i < sizeof(bytes); ++i) {
      ASSERT_EQ(bytes[i], 0xAB) << "byte " << i << " of a struct of " << size;
    }
  }
}

TEST_P(Library, RowsDoNotDependOnTheBatchAroundThem) {
  const LoadedExpert expert = ready();
  const auto together = expert.forward(all_rows());
  const size_t classes = static_cast<size_t>(GetParam().classes);
  for (size_t row = 0; row < kTexts.size(); ++row) {
    const auto alone = expert.forward(rows(row, row + 1));
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(),
                           together.begin() + static_cast<std::ptrdiff_t>(row * classes)))
        << row;
  }
  EXPECT_EQ(expert.forward(all_rows()), together);
}

TEST_P(Library, WritesEveryLogit) {
  for (const float logit : ready().forward(all_rows())) EXPECT_EQ(logit, logit) << "NaN";
}

TEST_P(Library, RefusesLogitsOfAnotherShape) {
  const LoadedExpert expert = ready();
  const Batch batch = all_rows();
  const Floats wide({5, GetParam().classes + 1}), short_one({4, GetParam().classes});
  const Floats flat({5 * GetParam().classes});
  for (const Floats* wrong : {&wide, &short_one, &flat}) {
    moec_error error = empty_error();
    EXPECT_EQ(forward(expert, batch.get(), wrong->view(), &error), MOEC_INVALID_ARGUMENT);
    EXPECT_EQ(error.code, MOEC_INVALID_ARGUMENT);
    EXPECT_THAT(error.message, HasSubstr("logits"));
  }
  const Ints integers({5, GetParam().classes});
  moec_error error = empty_error();
  EXPECT_EQ(forward(expert, batch.get(), integers.view(), &error), MOEC_INVALID_ARGUMENT);
  EXPECT_THAT(error.message, HasSubstr("float32"));
}

TEST_P(Library, RefusesABatchWithoutWhatItReads) {
  const LoadedExpert expert = ready();
  const Floats y({5, GetParam().classes});
  moec_error error = empty_error();
  EXPECT_EQ(forward(expert, nullptr, y.view(), &error), MOEC_INVALID_ARGUMENT);
  Batch batch = all_rows();
  batch.get()->texts = nullptr;
  batch.get()->pooled = nullptr;
  error = empty_error();
  EXPECT_EQ(forward(expert, batch.get(), y.view(), &error), MOEC_INVALID_ARGUMENT);
  EXPECT_NE(error.message[0], '\0');
}

TEST_P(Library, RefusesNullArguments) {
  moec_error error = empty_error();
  moec_expert* expert = nullptr;
  EXPECT_EQ(library_->create(nullptr, nullptr, &expert, &error), MOEC_INVALID_ARGUMENT);
  EXPECT_EQ(library_->create(nullptr, nullptr, &expert, nullptr), MOEC_INVALID_ARGUMENT);
  EXPECT_EQ(library_->requirements(nullptr, nullptr, &error), MOEC_INVALID_ARGUMENT);
  EXPECT_NE(error.message[0], '\0');
  library_->destroy(nullptr);
}

TEST_P(Library, RefusesACreateInfoThatIsTooShort) {
  moec_create_info info{};
  info.struct_size = offsetof(moec_create_info, config);
  moec_expert* expert = nullptr;
  moec_error error = empty_error();
  EXPECT_EQ(library_->create(nullptr, &info, &expert, &error), MOEC_INVALID_ARGUMENT);
  EXPECT_EQ(expert, nullptr);
}

TEST_P(Library, LeavesAnErrorAloneThatHasNoRoomForAMessage) {
  moec_error error{};
  error.struct_size = offsetof(moec_error, message);
  moec_expert* expert = nullptr;
  EXPECT_EQ(library_->create(nullptr, nullptr, &expert, &error), MOEC_INVALID_ARGUMENT);
  EXPECT_EQ(error.message[0], '\0');
}

TEST_P(Library, RefusesOtherInputs) {
  ExpertSpec other = spec();
  other.inputs = MOEC_INPUT_TOKENS;
  other.hidden = 4;
  moec_expert* expert = nullptr;
  moec_error error = empty_error();
  EXPECT_EQ(create(library_, other, &expert, &error), MOEC_INVALID_ARGUMENT);
  EXPECT_EQ(expert, nullptr);
  EXPECT_THAT(error.message, HasSubstr("reads"));
}

TEST_P(Library, MakesManyExperts) {
  for (int i = 0; i < 100; ++i) LoadedExpert(library_, spec());
}

INSTANTIATE_TEST_SUITE_P(Every, Library, ::testing::ValuesIn(kSubjects),
                         [](const auto& subject) { return std::string(subject.param.name); });

TEST(Libraries, AnswerAsThemselvesSideBySide) {
  const LoadedLibrary adapter(MOECOLLAB_ADAPTER), lexical(MOECOLLAB_LEXICAL);
  const LoadedLibrary centroid(MOECOLLAB_CENTROID);
  const auto id = [](const LoadedLibrary& library) {
    return std::string(library->describe()->id.data, library->describe()->id.size);
  };
  EXPECT_EQ(id(adapter), "org.moecollab.adapter");
  EXPECT_EQ(id(lexical), "org.moecollab.lexical");
  EXPECT_EQ(id(centroid), "com.example.centroid");
}

}  // namespace
}  // namespace moecollab::plugin_test
