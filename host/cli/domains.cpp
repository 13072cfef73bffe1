// The verb data domains: what --data-dir and --data come to, before anything is read.
#include <memory>

#include "cli/verb.h"
#include "data/data_location.h"

namespace moecollab::cli {
namespace {

Json file_json(const data::DataFile& file) {
  return {{"domain", file.domain},
          {"given", file.given},
          {"split", file.split.empty() ? Json(nullptr) : Json(file.split)},
          {"file", file.path.string()}};
}

}  // namespace

void add_domains(Program& program, CLI::App& parent) {
  auto options = std::make_shared<data::DataOptions>();
  CLI::App& verb = add_verb(
      program, parent, "domains",
      "Lists the domains of a data folder by the names they have here, each with its training file",
      "moecollab data domains --data-dir samples/data");
  add_data(verb, *options);
  add_output(verb, program);
  verb.callback([&program, options] {
    program.action = [&program, options] {
      Json list = Json::array();
      std::string text;
      for (const data::DataFile& file : data::locate(*options, "train", program.context().log)) {
        list.push_back(file_json(file));
        text += fmt::format("{}\t{}\n", file.domain, file.path.string());
      }
      print_result(program, {{"domains", list}}, text);
      return 0;
    };
  });
}

}  // namespace moecollab::cli
