#!/usr/bin/env bash
# Behaviour: UBSan's vptr check asks the kernel by a pipe whether it can read an object's type. If no
#            pipe can be had, as after a seccomp filter that leaves pipe2() out, it takes every
#            object that it has not met before for a broken one: a virtual call of a good object is
#            reported as one of no object, and ends the program under -fno-sanitize-recover.
# Version:   libubsan1 12.2.0-14+deb12u1 (Debian 12's, gcc 12.2). A process without free descriptors
#            gets the same (samangh/libsg#40); TSan met the same pipe (google/sanitizers#1106).
# Seen:      without the filter: 7. With it: "member call on address … which does not point to an
#            object of type 'Shape' … object has invalid vptr".
# For us:    the sandbox of an expert's process allows pipe2() in sanitizer builds, where fmt's
#            virtual buffers met this first (host/worker/sandbox.cpp).
# Needs Debian 12 with g++. Fails if the behaviour changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download libubsan1=12.2.0-14+deb12u1
dpkg-deb -x libubsan1_*.deb ubsan
cat > program.cpp <<'CPP'
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

struct Shape {
  virtual ~Shape() = default;
  virtual int sides() const = 0;
};
struct Heptagon final : Shape {
  int sides() const override { return 7; }
};

// pipe2() fails with EPERM from now on; all else is as before.
static void refuse_pipes() {
  sock_filter code[] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
                        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_pipe2},
                        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM},
                        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
  const sock_fprog program{4, code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) abort();
}

int main(int count, char**) {
  Heptagon heptagon;
  const Shape* volatile shape = &heptagon;
  if (count > 1) refuse_pipes();
  printf("%d\n", shape->sides());
}
CPP
g++ -O0 -fsanitize=vptr -fno-sanitize-recover=all program.cpp -o program
export LD_LIBRARY_PATH=$PWD/ubsan/usr/lib/x86_64-linux-gnu
echo "versions: $(g++ --version | head -n 1), $(basename libubsan1_*.deb .deb)"
echo "expected: 7, with and without pipes"
echo "seen without a filter: $(./program)"
seen=$(./program filtered 2>&1 || true)
echo "seen without pipes: $seen"
[ "$(./program)" = 7 ]
grep -q "does not point to an object of type 'Shape'" <<< "$seen"
grep -q "invalid vptr" <<< "$seen"
