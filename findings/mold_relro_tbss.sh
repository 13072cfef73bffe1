#!/usr/bin/env bash
# Behaviour: mold lets PT_GNU_RELRO begin at .tbss, which takes no memory. A thread-local variable of
#            one byte may end a page that no PT_LOAD has. The kernel leaves that page of a program
#            unmapped, and ld.so, which protects whole pages, ends the program before main(). The
#            size of the code decides: here 7 of 4,096 sizes, one link in 600.
# Version:   mold 1.10.1+dfsg-1 (Debian 12's), g++ 12.2, glibc 2.36. Reported as rui314/mold#1151;
#            its author names 2.4.0 as the first release without it.
# Seen:      mold: RELRO begins in page 0x2000, no LOAD has it; "cannot apply additional memory
#            protection after relocation: Cannot allocate memory". A shared library of the same
#            layout loads, since ld.so maps one without holes. ld.bfd, ld.gold, ld.lld: starts
# For us:    cmake/Toolchain.cmake uses mold from 2.4 on, and the test `relro` looks at every
#            program and library of a build.
# Needs Debian 12 with g++, binutils and python3. Fails if the behaviour changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download mold=1.10.1+dfsg-1
dpkg-deb -x mold_*.deb mold
cat > program.c <<'C'
#include <stdio.h>
__thread char flag;
int (*const print[])(const char*) = {puts}; /* relocated, then read-only */
__attribute__((used)) static void code(void) { __asm__(".skip " SIZE ", 0x90"); }
int run(void) {
  flag = 1;
  return print[flag - 1]("starts") < 0;
}
#ifndef LIBRARY
int main(void) { return run(); }
#endif
C
build() {  # LINKER SIZE OUTPUT FLAG…
  gcc -B mold/usr/bin -O1 -DSIZE="\"$2\"" program.c -fuse-ld="$1" -o "$3" -Wl,-z,relro "${@:4}"
}
headers() { readelf -lW "$1" | grep -E '^ +(LOAD|TLS|GNU_RELRO)'; }
size_for() {  # FLAG…: of code, so that .tbss is 4 bytes before the end of its page
  build mold 16 first "$@"
  local at
  at=$(headers first | awk '$1 == "TLS" {print $3}')
  echo $((16 + ((0xffc - at) & 0xfff)))
}
outside() {  # FILE: succeeds if the page in which RELRO begins is in no LOAD
  headers "$1" | python3 -c '
import sys
rows = [(f[0], int(f[2], 16), int(f[5], 16)) for f in map(str.split, sys.stdin)]
page = next(at for name, at, _ in rows if name == "GNU_RELRO") & ~0xfff
sys.exit(any(name == "LOAD" and at & ~0xfff <= page < at + size for name, at, size in rows))'
}
size=$(size_for)
echo "versions: $(mold/usr/bin/mold --version), $(gcc --version | head -n 1), $(ldd --version | head -n 1)"
echo "expected: GNU_RELRO begins in a page of a LOAD, and the program says: starts"
echo "seen, by linker:"
for linker in mold bfd gold lld; do
  [ "$linker" = mold ] || command -v "ld.$linker" > /dev/null || continue
  build "$linker" "$size" "by_$linker"
  page=$(outside "by_$linker" && echo "in no LOAD" || echo "in a LOAD")
  echo "$linker: RELRO begins $page; $("./by_$linker" 2>&1 || true)" | tee -a seen
done
readelf -p .comment by_mold | grep -q 'mold 1\.10\.1'
headers by_mold
build mold "$(size_for -shared -fPIC -DLIBRARY)" library.so -shared -fPIC -DLIBRARY
outside library.so
python3 -c 'import ctypes; ctypes.CDLL("./library.so").run()'
grep -q '^mold: RELRO begins in no LOAD; .*cannot apply additional memory protection' seen
[ "$(grep -c 'in a LOAD; starts$' seen)" = $(($(wc -l < seen) - 1)) ]
