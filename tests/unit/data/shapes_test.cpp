// Shapes in which people have labelled texts: what is read, or why not.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "data/dataset.h"
#include "data/entries.h"
#include "unit/data/data_files.h"

namespace moecollab::data {
namespace {

struct Shape {
  const char* test;  // the test's name
  const char* file;
  std::string bytes;
  std::string expected;  // "line text|label", one after the other with a blank and "/" between; or
                         // "! " and a part of the refusal
  Reading reading = {};
  std::string said = {};  // part of a note or warning
};

Reading quoting_is(Quoting quoting) { return {.quoting = quoting}; }
Reading columns_are(Columns columns) { return {.columns = std::move(columns)}; }

const std::string kNul(1, '\0');
std::string utf16(std::string_view ascii, bool little, bool mark) {
  std::string bytes = mark ? (little ? "\xFF\xFE" : "\xFE\xFF") : "";
  for (const char c : ascii) bytes += little ? c + kNul : kNul + c;
  return bytes;
}

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all = {
      // Tables and their quotes.
      {"TsvQuotesAreCharacters",
       "a.tsv",
       "text\tlabel\n\"a b\tx\nc\ty\nd\"\ty\n",
       "2 \"a b|x / 3 c|y / 4 d\"|y",
       {},
       "quoting none"},
      {"TsvQuotedThroughoutIsUnquoted",
       "a.tsv",
       "text\tlabel\n\"a \"\"b\"\"\"\tx\n\"c\td\"\ty\n",
       "2 a \"b\"|x / 3 c\td|y",
       {},
       "quoting csv"},
      {"TsvQuoteInsideAField", "a.tsv", "text\tlabel\nsay \"a\" b\tx\n", "2 say \"a\" b|x"},
      {"TsvQuotingNone", "a.tsv", "text\tlabel\n\"a\"\tx\n", "2 \"a\"|x",
       quoting_is(Quoting::kNone)},
      {"TsvQuotingCsvHoldsLineBreaks", "a.tsv", "text\tlabel\n\"a\nb\"\tx\nc\ty\n",
       "2 a\nb|x / 4 c|y", quoting_is(Quoting::kCsv)},
      {"TsvQuotedWithLineBreaks", "a.tsv", "\"text\"\t\"label\"\n\"a\nb\"\t\"x\"\n",
       "! column `text` is missing; did you mean `\"text\"`?"},
      {"CsvQuotingNone", "a.csv", "text,label\n\"a,x\nb\",y\n", "2 \"a|x / 3 b\"|y",
       quoting_is(Quoting::kNone)},
      {"QuotedTsvNamedCsv",
       "a.csv",
       "\"id\"\t\"text\"\t\"label\"\r\n1\t\"a, b\"\t\"x\"\r\n",
       "2 a, b|x",
       {},
       "read as tsv"},
      {"CsvNamedTsv", "a.tsv", "text,label\n\"a, b\",x\n", "2 a, b|x", {}, "read as csv"},
      {"TableNamedTxt", "a.txt", "text,label\na,x\n", "2 a|x", {}, "read as csv"},
      {"TableWithoutExtension", "a", "label\ttext\nx\ta\n", "2 a|x", {}, "read as tsv"},
      {"Semicolons", "a.csv", "text;label\na;x\n", "! a.csv:1: the columns are separated by `;`"},
      {"Pipes", "a.csv", "text|label\na|x\n", "! separated by `|`"},
      {"SemicolonsBetweenOtherNames", "a.csv", "id;Kommentar;Klasse\n1;a;x\n",
       "! the columns are separated by `;`"},
      {"ExcelsSeparatorLine", "a.csv", "sep=;\ntext;label\na;x\n", "! Excel's `sep=`"},
      {"ExcelsPadding",
       "a.csv",
       "text,label,,\na,x,,\n,,,\n,,,\n",
       "2 a|x",
       {},
       "2 rows without anything"},
      {"HeaderInCapitals", "a.csv", "ID,Text,Label\n1,a,x\n", "2 a|x"},
      {"HeaderWithBlanks", "a.csv", "text, label\na,x\n", "2 a|x"},
      {"LastLineEndMissing", "a.csv", "text,label\na,x", "2 a|x"},
      {"UnclosedQuote", "a.csv", "text,label\n\"a,x\nb,y\n",
       "! a.csv:2:1: the file ends inside a quoted field (1 records follow it)"},
      // Encodings and packing.
      {"Utf16LittleWithMark",
       "a.csv",
       utf16("text,label\r\na,x\r\n", true, true),
       "2 a|x",
       {},
       "read as UTF-16"},
      {"Utf16BigWithMark", "a.tsv", utf16("text\tlabel\na\tx\n", false, true), "2 a|x"},
      {"Utf16WithoutMark", "a.jsonl", utf16("{\"text\": \"a\", \"label\": \"x\"}\n", true, false),
       "1 a|x"},
      {"Utf32", "a.csv", std::string("\xFF\xFE\0\0t\0\0\0", 8), "! it is UTF-32"},
      {"Gzip", "a.txt.gz",
       std::string(
           "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\x2b\x49\xad\x28\xd1\xc9\x49\x4c\x4a\xcd"
           "\xe1\x4a\xd4\xa9\xe0\x02\x00\x01\x02\x4b\x53\x0f\x00\x00\x00",
           35),
       "2 a|x"},
      {"Zstd", "a.csv.zst",
       std::string("\x28\xb5\x2f\xfd\x04\x58\x79\x00\x00\x74\x65\x78\x74\x2c\x6c\x61\x62\x65\x6c"
                   "\x0a\x61\x2c\x78\x0a\xe7\x71\x4d\x3c",
                   28),
       "2 a|x"},
      {"Parquet", "a.parquet", "PAR1\x15\x04\x15\x10", "! it is a Parquet file"},
      {"ExcelNamedCsv", "a.csv", "PK\x03\x04\x14", "! an Excel workbook"},
      {"Bzip2", "a.csv.bz2", "BZh91AY", "! packed with bzip2"},
      // JSON.
      {"Array", "a.json",
       "[{\"text\": \"a\", \"label\": \"x\"},\n {\"text\": \"b\", \"label\": \"y\"}]",
       "1 a|x / 2 b|y"},
      {"PrettyArray", "a.json", "[\n {\n  \"text\": \"a\",\n  \"label\": \"x\"\n }\n]\n", "2 a|x"},
      {"PrettyObjects", "a.json",
       "{\n \"text\": \"a\",\n \"label\": \"x\"\n}\n{\n \"text\": \"b\",\n "
       "\"label\": \"y\"\n}\n",
       "1 a|x / 5 b|y"},
      {"ArrayNamedJsonl", "a.jsonl", "[{\"text\": \"a\", \"label\": \"x\"}]", "1 a|x"},
      {"JsonLinesNamedJson", "a.json", "{\"text\": \"a\", \"label\": \"x\"}\n", "1 a|x"},
      {"JsonLinesNamedTxt", "a.txt", "{\"text\": \"a\", \"label\": \"x\"}\n", "1 a|x"},
      {"JsonLinesNamedCsv",
       "a.csv",
       "\n{\"text\": \"a\", \"label\": \"x\"}\n",
       "2 a|x",
       {},
       "read as JSON"},
      {"PythonDictionaries", "a.txt", "{'text': 'a', 'label': 'x'}\n", "! a.txt:1: not JSON"},
      {"NotANumberElsewhere", "a.jsonl",
       "{\"text\": \"NaN \\\" NaN\", \"label\": \"x\", \"score\": NaN, \"low\": -Infinity}\n",
       "1 NaN \" NaN|x"},
      {"ObjectsThatBeginOnTheirFirstLine", "a.json",
       "{\"text\": \"a\",\n \"label\": \"x\"}\n{\"text\": \"b\",\n \"label\": \"y\"}\n",
       "1 a|x / 3 b|y"},
      {"ProdigyRejected",
       "a.jsonl",
       "{\"text\": \"a\", \"label\": \"x\", \"answer\": \"reject\"}\n"
       "{\"text\": \"b\", \"label\": \"x\", \"answer\": \"accept\"}\n",
       "2 b|x",
       {},
       "1 texts without a label"},
      {"ArrayCutOff", "a.json", "[{\"text\": \"a\", \"label\": \"x\"},\n{\"text\": \"b\"",
       "! a.json:2: the file ends inside this element"},
      {"ArrayWithoutEnd", "a.json", "[{\"text\": \"a\", \"label\": \"x\"}",
       "! the file ends before the array does"},
      {"ArrayWithTwoCommas", "a.json", "[{\"text\": \"a\", \"label\": \"x\"},,]",
       "! `,` is no JSON here"},
      {"ArrayWithATrailingComma", "a.json", "[{\"text\": \"a\", \"label\": \"x\"},\n]",
       "! a.json:2: `]` is no JSON here"},
      {"HalfSurrogatePair",
       "a.jsonl",
       "{\"text\": \"a\\ud83d\", \"label\": \"x\"}\n",
       "1 a\uFFFD|x",
       {},
       "half a surrogate pair"},
      // Labels.
      {"IntegersInJson",
       "a.jsonl",
       "{\"text\": \"a\", \"label\": 0}\n",
       "1 a|0",
       {},
       "class numbers"},
      {"IntegersInCsv", "a.csv", "text,label\na,0\n", "2 a|0", {}, "class numbers"},
      {"FloatsThatAreIntegers", "a.jsonl", "{\"text\": \"a\", \"label\": 1.0}\n", "1 a|1"},
      {"Booleans", "a.jsonl", "{\"text\": \"a\", \"label\": true}\n", "1 a|true"},
      {"ListOfOne", "a.jsonl", "{\"text\": \"a\", \"label\": [\"x\"]}\n", "1 a|x"},
      {"NumpyListOfOne", "a.csv", "text,label\na,[3]\n", "2 a|3"},
      {"PythonListOfOne", "a.csv", "text,label\na,['x']\n", "2 a|x"},
      {"JsonListOfOneInACell", "a.csv", "text,label\na,\"[\"\"x\"\"]\"\n", "2 a|x"},
      {"ListOfSeveral", "a.jsonl", "{\"text\": \"a\", \"label\": [\"x\", \"y\"]}\n",
       "! multi-label"},
      {"NumpyListOfSeveral", "a.csv", "text,label\na,[0 2]\n", "! multi-label"},
      {"NumpyStrings", "a.csv", "text,label\na,['x' 'y']\n", "! multi-label"},
      {"WordsThatLookLikeNothing", "a.csv", "text,label\na,NA\nb,None\nc,null\nd,1e3\ne,007\n",
       "2 a|NA / 3 b|None / 4 c|null / 5 d|1e3 / 6 e|007"},
      {"WhiteSpaceAroundLabels",
       "a.csv",
       "text,label\na,x \nb,x\n",
       "2 a|x / 3 b|x",
       {},
       "white space around 1 labels"},
      {"LabelsInTwoForms",
       "a.csv",
       "text,label\na,cafe\u0301\nb,caf\u00E9\n",
       "2 a|caf\u00E9 / 3 b|caf\u00E9",
       {},
       "form C"},
      {"NamesOfNumbers", "a.csv", "text,label\na,1\nb,0\n", "2 a|pos / 3 b|neg",
       columns_are({.label_names = {"neg", "pos"}})},
      {"NumberWithoutAName", "a.csv", "text,label\na,2\n",
       "! the class number 2, the 2 label names", columns_are({.label_names = {"neg", "pos"}})},
      {"FloatsInCsvWithNames", "a.csv", "text,label\na, 1\nb,0.0\n", "2 a|pos / 3 b|neg",
       columns_are({.label_names = {"neg", "pos"}})},
      {"BooleanIsNoneOfTheNames", "a.jsonl", "{\"text\": \"a\", \"label\": true}\n",
       "! none of the label names", columns_are({.label_names = {"neg", "pos"}})},
      {"BaseWithoutNames", "a.csv", "text,label\na,1\nb,-1\nc,2.0\n", "2 a|0 / 4 c|1",
       columns_are({.label_base = 1})},
      {"NumberBelowTheBase", "a.csv", "text,label\na,0\n",
       "! the class number 0, the first one is 1", columns_are({.label_base = 1})},
      {"UnlabelledByNumber", "a.csv", "text,label\na,-1\nb,0\n", "3 b|neg",
       columns_are({.label_names = {"neg", "pos"}}), "1 texts without a label"},
      {"LabelTextBesideLabel", "a.jsonl",
       "{\"text\": \"a\", \"label\": 1, \"label_text\": \"pos\"}\n", "1 a|pos"},
      // Columns.
      {"NamesInUse", "a.tsv", "sentence\tsentiment\na\tx\n", "2 a|x"},
      {"OtherNamesInUse", "a.jsonl", "{\"review\": \"a\", \"category\": \"x\"}\n", "1 a|x"},
      {"TwoTexts", "a.csv", "text,review,label\na,b,x\n",
       "! 2 columns may hold the text: `text`, `review`"},
      {"TwoLabels", "a.csv", "text,class,label\na,b,x\n", "! 2 columns may hold the label"},
      {"ColumnsAsked", "a.csv", "text,review,label\na,b,x\n", "2 b|x",
       columns_are({.text = "review"})},
      {"ColumnAskedOfLines", "a.txt", "Id,Body\n1,a\n", "! `Id,Body`, is no header that has it",
       columns_are({.text = "body"})},
      {"JoinWithNull", "a.jsonl",
       "{\"title\": \"t\", \"body\": \"a\", \"label\": \"x\"}\n"
       "{\"title\": null, \"body\": \"b\", \"label\": \"x\"}\n{\"body\": \"c\", \"label\": "
       "\"x\"}\n",
       "1 t a|x / 2 b|x / 3 c|x", columns_are({.join = {"title", "body"}})},
      {"ColumnAskedIsMissing", "a.csv", "text,label\na,x\n", "! column `body` is missing",
       columns_are({.text = "body"})},
      {"Headerless", "a.csv", "\"3\",\"Oil up\",\"It rose.\"\n\"1\",\"Vote\",\"They won.\"\n",
       "1 Oil up It rose.|business / 2 Vote They won.|world",
       columns_are({.names = {"label", "title", "text"},
                    .join = {"title", "text"},
                    .label_base = 1,
                    .label_names = {"world", "sports", "business", "scitech"}})},
      // Labelling tools, as they document their exports.
      {"LabelStudioCsv",
       "a.csv",
       "\"annotation_id\",\"annotator\",\"created_at\",\"id\",\"lead_time\",\"sentiment\","
       "\"text\"\r\n"
       "11,\"1\",\"2024-05-01T10:00:00Z\",1,4.2,\"pos\",\"a\"\r\n"
       "12,\"2\",\"2024-05-01T10:00:00Z\",1,4.2,\"pos\",\"a\"\r\n"
       "13,\"1\",\"2024-05-01T10:00:00Z\",2,4.2,\"neg\",\"b\"\r\n"
       "14,\"2\",\"2024-05-01T10:00:00Z\",2,4.2,\"{\"\"choices\"\":[\"\"pos\"\"]}\",\"b\"\r\n"
       "\"\",\"\",\"\",3,\"\",\"\",\"c\"\r\n",
       "2 a|pos",
       {},
       "1 texts whose annotators disagree"},
      {"LabelStudioSeveralChoices", "a.csv",
       "\"annotation_id\",\"id\",\"sentiment\",\"text\"\r\n"
       "11,1,\"{\"\"choices\"\":[\"\"pos\"\",\"\"neg\"\"]}\",\"a\"\r\n",
       "! multi-label"},
      {"LabelStudioJson",
       "a.json",
       R"([{"id":1,"data":{"text":"a","src":"web"},"annotations":[{"id":11,"result":[{"type":"choices",)"
       R"("from_name":"sentiment","to_name":"text","value":{"choices":["pos"]}}],"was_cancelled":false},)"
       R"({"id":12,"result":[],"was_cancelled":true}],"predictions":[]},)"
       R"({"id":2,"data":{"text":"b"},"annotations":[]}])",
       "1 a|pos",
       {},
       "1 texts without a label"},
      {"LabelStudioJsonMin",
       "a.json",
       R"([{"text":"a","id":1,"sentiment":"pos","annotator":1,"annotation_id":11},)"
       R"({"text":"b","id":2,"sentiment":{"choices":["neg"]},"annotator":1,"annotation_id":12},)"
       R"({"text":"c","id":3,"annotator":null,"annotation_id":null}])",
       "1 a|pos / 1 b|neg",
       {},
       "1 texts without a label"},
      {"LabelStudioJsonMinBeginsUnlabelled",
       "a.json",
       R"([{"text":"c","id":3,"annotator":null,"annotation_id":null},)"
       R"({"text":"a","id":1,"sentiment":"pos","annotator":1,"annotation_id":11}])",
       "1 a|pos",
       {},
       "1 texts without a label"},
      {"LabelStudioJsonMinBeginsWithoutTheTagAsked", "a.json",
       R"([{"text":"c","id":3,"annotator":null,"annotation_id":null},)"
       R"({"text":"a","id":1,"mood":"pos","annotator":1,"annotation_id":11}])",
       "1 a|pos", columns_are({.label = "mood"}), "1 texts without a label"},
      {"DoccanoJsonl",
       "a.jsonl",
       "{\"id\":1,\"text\":\"a\",\"label\":[\"pos\"],\"Comments\":[]}\n"
       "{\"id\":2,\"text\":\"b\",\"label\":[],\"Comments\":[]}\n",
       "1 a|pos",
       {},
       "1 texts without a label"},
      {"DoccanoCsv",
       "a.csv",
       "id,text,label,Comments\n1,a,pos,\n2,b,,\n",
       "2 a|pos",
       {},
       "1 texts without a label"},
      {"DoccanoCsvOfSeveralLabels", "a.csv", "id,text,label,Comments\n1,a,pos#neg,\n",
       "! multi-label"},
      {"DoccanoBefore13", "a.json",
       R"([{"id":1,"text":"a","annotations":[{"label":2,"user":1},{"label":2,"user":3}]}])",
       "1 a|2"},
      {"DoccanoCsvBefore17",
       "a.csv",
       "id,data,label\n1,a,pos\n2,b,\n",
       "2 a|pos",
       {},
       "1 texts without a label"},
      {"DoccanoCsvBefore17OfSeveralLabels", "a.csv", "id,data,label\n1,a,pos#neg\n",
       "! multi-label"},
      {"ArgillaCsv",
       "a.csv",
       "text,label.responses\na,['pos']\nb,\n",
       "2 a|pos",
       {},
       "1 texts without a label"},
      {"PandasByColumns", "a.json", "{\"body\":{\"0\":\"a\"},\"label\":{\"0\":\"x\"}}",
       "! key `text` is missing; the keys are `body`, `label`"},
      {"DoccanoBefore17", "a.jsonl",
       "{\"id\":1,\"data\":\"a\",\"label\":[\"pos\"],\"src\":\"web\"}\n", "1 a|pos"},
      {"ArgillaNested",
       "a.json",
       R"([{"id":"r1","fields":{"text":"a"},"suggestions":{"label":{"value":"neg"}},)"
       R"("responses":{"label":[{"value":"pos","user_id":"4e"}]}},)"
       R"({"id":"r2","fields":{"text":"b"},"responses":{"label":[{"value":"pos"},{"value":"neg"}]}},)"
       R"({"id":"r3","fields":{"text":"c"},"responses":{}}])",
       "1 a|pos",
       {},
       "1 texts whose annotators disagree"},
      {"ArgillaFlat",
       "a.jsonl",
       R"({"id":"r1","text":"a","label.responses":["neg","pos"],"label.responses.status":)"
       R"(["discarded","submitted"],"label.suggestion":"neg"})"
       "\n"
       R"({"id":"r2","text":"b","label.responses":null,"label.responses.status":null})"
       "\n",
       "1 a|pos",
       {},
       "1 texts without a label"},
      {"ArgillaFeedback", "a.jsonl",
       R"({"text":"a","label":[{"user_id":"4e","value":"pos","status":"submitted"}],)"
       R"("label-suggestion":"neg","metadata":"{}"})"
       "\n",
       "1 a|pos"},
  };
  return all;
}

// As `data print` reads: a label is shown as far as it is there.
std::string printed(const fs::path& file) {
  std::string seen;
  for_each_entry(file, {}, Need::kTextAndAnyLabel, {}, [&](const Entry& entry) {
    const auto* record = std::get_if<Record>(&entry);
    seen += record != nullptr ? fmt::format("{}|{} ", record->text, record->label) : "! ";
  });
  return seen;
}

using Printed = DataFiles;

TEST_F(Printed, ALabelThatTheFirstObjectsLack) {
  EXPECT_EQ(printed(write("a.jsonl",
                          "{\"text\": \"a\"}\n{\"text\": \"b\", \"label\": \"x\"}\n"
                          "{\"text\": \"c\"}\n{\"other\": \"d\"}\n")),
            "a| b|x c| ! ");
}

TEST_F(Printed, LabelsOfDoccanoBefore13) {
  EXPECT_EQ(printed(write("a.jsonl", R"({"text": "a", "annotations": [{"label": 2}]})")), "a|2 ");
}

TEST_F(Printed, LabelNamesOfAFileWithAByteOrderMark) {
  EXPECT_THAT(read_label_names(write("names.txt", "\xEF\xBB\xBFneg\r\npos\r\n").string()),
              testing::ElementsAre("neg", "pos"));
}

class ShapesTest : public DataFiles, public testing::WithParamInterface<Shape> {};

TEST_P(ShapesTest, IsReadOrRefused) {
  const Shape& shape = GetParam();
  CollectingLog said{Log()};
  const auto read = [&] {
    return read_dataset("d", write(shape.file, shape.bytes), shape.reading, said.log());
  };
  if (shape.expected.starts_with("! ")) {
    return expect_refused(read, "E_DATA", shape.expected.substr(2));
  }
  std::string seen;
  for (const Example& example : read().examples) {
    seen += fmt::format("{}{} {}|{}", seen.empty() ? "" : " / ", example.line, example.text,
                        example.label);
  }
  EXPECT_EQ(seen, shape.expected);
  EXPECT_THAT(join(said.texts(), "\n"), testing::HasSubstr(shape.said));
}

INSTANTIATE_TEST_SUITE_P(All, ShapesTest, testing::ValuesIn(shapes()),
                         [](const auto& run) { return std::string(run.param.test); });

}  // namespace
}  // namespace moecollab::data
