// The verbs pack, keygen and sign.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/archive.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/files.h"
#include "base/strings.h"
#include "base/toml.h"
#include "cli/verb.h"
#include "experts/elf_facts.h"
#include "experts/scanner.h"
#include "registry/archive.h"
#include "registry/desktop_files.h"
#include "registry/minisign.h"
#include "registry/package.h"
#include "registry/trust.h"

namespace moecollab::cli {
namespace {

std::optional<std::string> read_password(const std::optional<fs::path>& file) {
  if (!file) return std::nullopt;
  std::string password = read_file(*file, "E_CONFIG", 4096);
  while (password.ends_with('\n') || password.ends_with('\r')) password.pop_back();
  return password;
}

// [abi] as the library's own note has it.
Json abi_table(const fs::path& folder, const std::map<std::string, std::string>& files) {
  const auto library = std::find_if(files.begin(), files.end(), [](const auto& file) {
    return registry::is_library_name(file.first);
  });
  if (library == files.end()) {
    throw Error("E_PLUG_PATH",
                fmt::format("{}: no lib<name>.so, whose note would say what [abi] lacks",
                            escaped(folder.string())),
                "copy the library there");
  }
  const auto& [name, bytes] = *library;
  const std::string file = (folder / name).string();
  const experts::LibraryNote note = experts::scan_library(bytes, file);
  const std::string needed = experts::needed_of_torch(experts::read_elf(bytes, file));
  if (!needed.empty()) {
    throw Error("E_DESC",
                fmt::format("{} needs {}, and its manifest has no [abi]", escaped(file), needed),
                "build it with moecollab_add_expert(… TORCH), which writes [abi] and [files]");
  }
  return {{"version", fmt::format("{}.{}", note.abi_major, note.abi_minor)},
          {"sdk", note.sdk},
          {"platform", "linux-x86_64"}};
}

// The files of a folder that somebody made by hand, its manifest completed by [abi] and [files].
std::map<std::string, std::string> completed(const fs::path& folder, const std::string& manifest) {
  std::map<std::string, std::string> files;
  for (const std::string& name : registry::entries_below(folder)) {
    if (name == registry::kManifestFile) continue;
    if (registry::is_desktop_file(fs::path(name).filename().string())) continue;
    if (name == registry::kSignatureFile) {
      throw Error("E_PLUG_SIG",
                  fmt::format("{} signs a manifest that lacks [abi] and [files]",
                              escaped((folder / name).string())),
                  "remove it, pack, and sign the archive with `moecollab sign`");
    }
    if (!fs::is_regular_file(fs::symlink_status(folder / name)))
      throw Error("E_PLUG_PATH",
                  fmt::format("{} is no regular file", escaped((folder / name).string())));
    files[name] = read_file(folder / name, "E_REG_IO", registry::kMaxArchive);
  }
  Json missing = {{"abi", abi_table(folder, files)}};
  for (const auto& [name, bytes] : files) missing["files"][name] = sha256_hex(bytes);
  files[registry::kManifestFile] = manifest + "\n" + to_toml(missing);
  return files;
}

// What an archive of the folder holds. A manifest has both of [abi] and [files], or neither, which
// are then filled in; the folder stays as it is.
std::map<std::string, std::string> files_to_pack(const fs::path& folder) {
  const fs::path path = folder / registry::kManifestFile;
  const std::string manifest = read_file(path, "E_REG_IO", registry::kMaxManifest);
  const Json root = parse_toml(manifest, path.string(), "E_REG").root;
  if (!root.contains("abi") && !root.contains("files")) return completed(folder, manifest);
  return registry::package_files(folder);
}

// Writes FILE.moec; says what it holds.
Json pack(const fs::path& folder, std::optional<fs::path> output) {
  const std::map<std::string, std::string> files = files_to_pack(folder);
  const registry::Manifest m = registry::parse_manifest(
      files.at(registry::kManifestFile), (folder / registry::kManifestFile).string());
  registry::library_file(m);  // there is one, and one only
  if (!output) output = fmt::format("{}-{}.moec", m.expert.name, m.expert.version.text());
  require_writable(*output);
  const std::string bytes = to_archive(files);
  write_file_atomic(*output, bytes);
  return {{"file", output->string()},
          {"id", m.expert.id},
          {"version", m.expert.version.text()},
          {"files", files.size()},
          {"bytes", bytes.size()},
          {"sha256", sha256_hex(bytes)},
          {"signed", files.contains(registry::kSignatureFile)}};
}

// A new file that its owner alone may read, at no moment anybody else.
void write_private(const fs::path& path, const std::string& text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  const bool good = fd >= 0 &&
                    ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                    ::fsync(fd) == 0;
  const int reason = errno;
  if (fd >= 0) ::close(fd);
  if (good) return;
  if (fd >= 0) ::unlink(path.c_str());
  throw Error("E_WRITE", fmt::format("{} cannot be written: {}", escaped(path.string()),
                                     std::strerror(reason)));
}

Json keygen(const fs::path& stem, const std::optional<std::string>& password) {
  const fs::path secret_file = stem.string() + ".key", public_file = stem.string() + ".pub";
  for (const fs::path& file : {secret_file, public_file}) {
    if (fs::exists(file))
      throw Error("E_WRITE", fmt::format("{} is there already", escaped(file.string())),
                  "a key that is lost cannot sign again: name another one");
    require_writable(file);
  }
  const registry::SecretKey key = registry::SecretKey::generate();
  const registry::PublicKey pub = key.public_key();
  write_private(secret_file, key.file(password));
  write_file_atomic(public_file, fmt::format("untrusted comment: minisign public key {}\n{}\n",
                                             pub.id_text(), pub.text()));
  return {{"secret", secret_file.string()},
          {"public", public_file.string()},
          {"id", pub.id_text()},
          {"key", pub.text()},
          {"encrypted", password.has_value()}};
}

// Signs the manifest of a folder, or of an archive in place.
Json sign(const fs::path& path, const registry::SecretKey& key) {
  const registry::PackageFolder folder(path);
  const registry::Package package = registry::open_package(folder.path());
  registry::check_files(package);
  const registry::Manifest& m = package.manifest;
  const std::string comment = fmt::format("{} {}", m.expert.id, m.expert.version.text());
  const std::string manifest =
      read_file(folder.path() / registry::kManifestFile, "E_REG_IO", registry::kMaxManifest);
  const std::string signature = key.sign(manifest, comment);
  if (folder.path() == path) {
    write_file_atomic(path / registry::kSignatureFile, signature);
  } else {
    std::map<std::string, std::string> files = registry::package_files(folder.path());
    files[registry::kSignatureFile] = signature;
    write_file_atomic(path, to_archive(files));
  }
  return {{"package", path.string()}, {"id", key.public_key().id_text()}, {"comment", comment}};
}

template <typename Options>
void runs(CLI::App& verb, Program& program, std::shared_ptr<Options> options,
          std::function<int(const Options&)> run) {
  add_output(verb, program);
  verb.callback(
      [&program, options, run] { program.action = [options, run] { return run(*options); }; });
}

}  // namespace

void add_pack(Program& program) {
  struct Options {
    fs::path folder;
    std::optional<fs::path> output;
  };
  auto options = std::make_shared<Options>();
  CLI::App& verb = add_verb(program, program.app, "pack", "Makes one file of a package, to ship",
                            "moecollab pack build/clauses.package");
  verb.add_option("package", options->folder,
                  "Folder of the package; what expert.toml lacks of [abi] and [files] is filled in")
      ->type_name("FOLDER")
      ->required();
  verb.add_option("--output", options->output, "Default: NAME-VERSION.moec")->type_name("FILE");
  runs<Options>(verb, program, options, [&program](const Options& o) {
    const Json result = pack(o.folder, o.output);
    print_result(program, result,
                 fmt::format("{}: {} files, {} bytes, SHA-256 {}\n",
                             result["file"].get<std::string>(), result["files"].get<size_t>(),
                             result["bytes"].get<size_t>(), result["sha256"].get<std::string>()));
    return 0;
  });
}

void add_keygen(Program& program) {
  struct Options {
    fs::path stem = "moecollab";
    std::optional<fs::path> password_file;
    bool no_password = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App& verb =
      add_verb(program, program.app, "keygen", "Makes a pair of keys to sign packages with",
               "moecollab keygen --name me --password-file secret.txt");
  verb.add_option("--name", options->stem, "Writes NAME.key and NAME.pub")
      ->type_name("NAME")
      ->capture_default_str();
  auto* file = verb.add_option("--password-file", options->password_file, "Encrypts the secret key")
                   ->type_name("FILE");
  verb.add_flag("--no-password", options->no_password, "Leaves the secret key readable")
      ->excludes(file);
  runs<Options>(verb, program, options, [&program](const Options& o) {
    if (!o.password_file && !o.no_password) {
      throw Error("E_CONFIG", "the secret key needs a password",
                  "give --password-file FILE, or --no-password for a key that anybody can use who "
                  "reads it");
    }
    const Json result = keygen(o.stem, read_password(o.password_file));
    print_result(
        program, result,
        fmt::format(
            "{} is yours alone; publish {}\n  [[trust]]\n  publisher = \"…\"\n  key = \"{}\"\n",
            result["secret"].get<std::string>(), result["public"].get<std::string>(),
            result["key"].get<std::string>()));
    return 0;
  });
}

void add_sign(Program& program) {
  struct Options {
    fs::path package, key;
    std::optional<fs::path> password_file;
  };
  auto options = std::make_shared<Options>();
  CLI::App& verb = add_verb(program, program.app, "sign", "Signs a package, as minisign does",
                            "moecollab sign clauses-1.2.0.moec --key me.key");
  verb.add_option("package", options->package, "Folder or FILE.moec, which is signed in place")
      ->type_name("PATH")
      ->required();
  verb.add_option("--key", options->key, "Secret key, of keygen or of minisign -G")
      ->type_name("FILE")
      ->required();
  verb.add_option("--password-file", options->password_file, "Of an encrypted key")
      ->type_name("FILE");
  runs<Options>(verb, program, options, [&program](const Options& o) {
    const auto key = registry::SecretKey::parse(read_file(o.key, "E_CONFIG", 4096),
                                                read_password(o.password_file));
    const Json result = sign(o.package, key);
    print_result(program, result,
                 fmt::format("{} is signed by key {}\n", result["package"].get<std::string>(),
                             result["id"].get<std::string>()));
    return 0;
  });
}

}  // namespace moecollab::cli
