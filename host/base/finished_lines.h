// The finished parts of a long run on disk, so that a run that was killed continues.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/files.h"
#include "base/json.h"
#include "base/run_context.h"

namespace moecollab {

// A line of JSON a part, each with the digest of all that its figures depend on.
class FinishedLines {
 public:
  // For messages: what one part is called ("point").
  struct Words {
    std::string part;
    std::string way_on;  // for a file that cannot be used
  };
  // Names a line's part, each one's own. Throws for a line that is none.
  using Key = std::function<std::string(const Json& line)>;

  // Reads the file if it is there; lines with another digest are left out (said). Throws E_CKPT for
  // a line that is no finished part.
  FinishedLines(fs::path file, std::string digest, Key key, Words words, Log log);

  bool contains(const std::string& key) const { return lines_.contains(key); }
  // The line of a part that it contains, without the digest.
  Json at(const std::string& key) const;
  // Writes the whole file again: a run that is killed leaves whole lines only.
  void add(Json line);

 private:
  bool read_line(std::string_view line);  // false for a line of another run

  fs::path file_;
  std::string digest_;
  Key key_;
  Words words_;
  std::map<std::string, Json> lines_;
};

// Calls work(). A part that is interrupted speaks of itself (E_INTERRUPTED): what counts is what
// the run keeps, which the error then names ("points that are finished").
void name_what_is_kept(std::string_view parts, const std::function<void()>& work);

}  // namespace moecollab
