#include "base/error.h"

#include <csignal>

namespace moecollab {
namespace {

// Longer names first if one is a prefix of another.
constexpr ErrorFamily kFamilies[] = {
    {"E_INTERNAL", 1, "a defect of the program, or no memory left"},
    {"E_DIST", 1, "a run on several ranks: one died, or has other data than the others"},
    {"E_CONFIG", 2, "the command: a verb, flag, value or configuration file"},
    {"E_DATA", 3, "a labelled file or a text to be answered"},
    {"E_REG", 4, "registry.toml, a manifest or another file of the registry"},
    {"E_ST", 4, "a safetensors file"},
    {"E_VOCAB", 4, "the encoder's vocabulary"},
    {"E_GATE", 4, "the gate: none is fitted, or its files do not fit the registry"},
    {"E_CKPT", 4, "a checkpoint or a comparison model that cannot be used"},
    {"E_ENCODER", 4, "the encoder's folder, or an encoder that is not the registry's"},
    {"E_PLUG", 5, "a package: its files, digests or signature"},
    {"E_ELF", 5, "the library file of a package"},
    {"E_ABI", 5, "a library made for another version of the interface or another platform"},
    {"E_DESC", 5, "what an expert says of itself, against its manifest"},
    {"E_OUT", 5, "what an expert answered: not finite, or not written"},
    {"E_IPC", 5, "the process of an isolated expert: it died, hung or talked nonsense"},
    {"E_POLICY", 5, "an expert that the policy or an option forbids"},
    {"E_TRAIN", 5, "training diverged, or the expert cannot be trained in that way"},
    {"E_REQUIRE", 6, "a threshold of --require or --guard"},
    {"E_WRITE", 7, "a file, a folder or standard output that cannot be written"},
    {"E_LOCK", 7, "a registry or folder that another process is changing"}};

constexpr ExitStatus kStatuses[] = {{0, "success"},
                                    {1, "an internal error"},
                                    {2, "usage or configuration"},
                                    {3, "bad input data"},
                                    {4, "the registry, the gate or a model is invalid"},
                                    {5, "an expert was refused or failed"},
                                    {6, "a threshold that was asked for is not met"},
                                    {7, "output could not be written"},
                                    {128 + SIGINT, "interrupted by Ctrl-C"},
                                    {128 + SIGTERM, "interrupted by SIGTERM"}};

}  // namespace

std::span<const ErrorFamily> error_families() { return kFamilies; }

int exit_status(std::string_view code) {
  for (const ErrorFamily& family : kFamilies) {
    if (code.starts_with(family.prefix)) return family.status;
  }
  return 1;
}

std::span<const ExitStatus> exit_statuses() { return kStatuses; }

}  // namespace moecollab
