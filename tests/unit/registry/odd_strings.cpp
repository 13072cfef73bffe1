#include "unit/registry/odd_strings.h"

namespace moecollab::registry {

std::vector<std::string> odd_strings() {
  std::vector<std::string> out = {"",
                                  "a",
                                  "A",
                                  "a b",
                                  "a.b",
                                  "a..b",
                                  ".a",
                                  "a.",
                                  "com.example.x",
                                  "com.Example",
                                  "a/1",
                                  "a/0",
                                  "a/01",
                                  "a/1.0",
                                  "/1",
                                  "a/",
                                  "a.b/12",
                                  "a/123456789",
                                  "a/1234567890",
                                  "1",
                                  "1.2",
                                  "1.2.3",
                                  "01.2.3",
                                  "1.2.3.4",
                                  "1.2.3-rc.1",
                                  "2027-12-31",
                                  "2027-13-01",
                                  "2027-00-10",
                                  "2027-1-31",
                                  "2027-12-32",
                                  "2027-12-00",
                                  "2027-12-31 ",
                                  "1.2.3-01",
                                  "1.2.3-0a",
                                  "1.2.3-",
                                  "1.2.3+b",
                                  "1.2-rc",
                                  "-1.2",
                                  "0.9",
                                  "0.09",
                                  "0.x",
                                  "*",
                                  "**",
                                  "^1",
                                  "^1.2",
                                  "^1.2.3-rc.1",
                                  "^1.2-rc",
                                  "~1",
                                  "~1.2.3",
                                  ">=1",
                                  ">1",
                                  "=1.2.3",
                                  "=1.2",
                                  "= 1.2.3",
                                  "^ 1",
                                  "..",
                                  ".",
                                  "...",
                                  "..a",
                                  ".a/b",
                                  "a/../b",
                                  "a/./b",
                                  "a//b",
                                  "/a",
                                  "a/.b",
                                  "a/..b",
                                  "a/b.so",
                                  "\x01",
                                  "a\nb",
                                  "a\t",
                                  "\x7f",
                                  "a/\x7f",
                                  "é",
                                  "a é",
                                  "\xC2\x85",
                                  "a\xC2\x9F",
                                  "linux-x86_64",
                                  "sha256:aa"};
  for (const size_t length : {63u, 64u, 65u}) {
    out.emplace_back(length, 'a');
    out.push_back(std::string(length, 'a') + ".b");
    out.push_back(std::string(length, '0'));
    out.push_back(std::string(length, 'F'));
  }
  const std::string key = "RWTDx1GfJjsTMIsCu62pcPc7H/x2gDPHOdzzHTsxBOBvqVL4sag2viC3";
  for (const std::string& text :
       {key, key + "\n", key + "\r\n", key + "\n\n", "untrusted comment: x\n" + key, " " + key,
        key + "=", key.substr(1), "RWU" + key.substr(3), "RXT" + key.substr(3)})
    out.push_back(text);
  return out;
}

std::wstring wide(const std::string& utf8) {
  std::wstring out;
  for (size_t i = 0; i < utf8.size(); ++i) {
    const auto byte = static_cast<unsigned char>(utf8[i]);
    out += static_cast<wchar_t>(
        byte < 0x80 ? byte : (byte & 0x1F) << 6 | (static_cast<unsigned char>(utf8[++i]) & 0x3F));
  }
  return out;
}

}  // namespace moecollab::registry
