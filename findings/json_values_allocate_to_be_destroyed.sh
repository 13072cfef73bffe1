#!/usr/bin/env bash
# Behaviour: the destructor of an nlohmann::json array or object allocates: it moves the inner values
#            to a vector of its own, so that depth costs no stack. It may not throw, so a lack of
#            memory while an error unwinds ends the process instead of being that error.
# Version:   nlohmann-json3-dev 3.11.2-2 (Debian 12's), g++ 12.2.
# Seen:      noexcept: true; a text: 0, [1, 2, 3]: 1, {"a": [1, {"b": null}]}: 2 allocations
# For us:    cli/terminate.h says "out of memory" there and exits with 1; the test R59_… lets each
#            allocation of each parser fail.
# Needs Debian 12 with g++. Fails if the behaviour changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download nlohmann-json3-dev=3.11.2-2
dpkg-deb -x nlohmann-json3-dev_*.deb json
cat > program.cpp <<'C'
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>

static long made = 0;
void* operator new(std::size_t size) {
  ++made;
  return std::malloc(size);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

static void show(const char* text) {
  auto value = std::make_unique<nlohmann::json>(nlohmann::json::parse(text));
  const long before = made;
  value.reset();
  std::printf("%s: %ld allocations to destroy it\n", text, made - before);
}

int main() {
  std::printf("noexcept: %s\n", std::is_nothrow_destructible_v<nlohmann::json> ? "true" : "false");
  show("\"a text that is longer than what a string holds in itself\"");
  show("[1, 2, 3]");
  show("{\"a\": [1, {\"b\": null}]}");
}
C
g++ -std=c++17 -O1 -isystem json/usr/include program.cpp -o program
echo "versions: nlohmann-json3-dev $(dpkg-deb -f nlohmann-json3-dev_*.deb Version), $(g++ --version | head -n 1)"
echo "expected: noexcept: true, and 0 allocations to destroy each"
echo "seen:"
./program | tee seen
grep -qx 'noexcept: true' seen
grep -q '^"a text.*: 0 allocations' seen
grep -Eq '^\[1, 2, 3\]: [1-9][0-9]* allocations' seen
grep -Eq '^\{.*: [1-9][0-9]* allocations' seen
