#!/usr/bin/env bash
# Behaviour: a process whose MPI errors are to be returned (MPI_ERRORS_RETURN) is ended by Open MPI all the same
#            after a process that it is connected to by TCP was killed: its next send connects again, and when
#            nobody listens there, the library aborts instead of returning an error.
# Version:   Open MPI 4.1.4 (Debian 12: libopenmpi-dev, openmpi-bin).
# Seen:      rank 0 sends to rank 1 for 1.5 s and then writes a file. It does if rank 1 lives; if that was killed,
#            it never does. It ignores SIGTERM and mpirun waits for 5 s before SIGKILL, so that it is not mpirun
#            that ends it. On two hosts it says "failed to TCP connect to a peer MPI process" first.
# For us:    ranks watch the connections themselves before the library looks, and leave it alone from the moment
#            that one has ended (host/cluster/connections.h).
# Installs the packages of that version unless they are there: Open MPI does not start from another folder.
# Fails if the behaviour changes.
set -euo pipefail
for package in libopenmpi-dev openmpi-bin; do
  [ "$(dpkg-query -W -f '${Version}' "$package" 2> /dev/null)" = 4.1.4-3+b1 ] || apt-get install -y -qq "$package=4.1.4-3+b1" > /dev/null
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/survivor.c" <<'C'
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(int count, char** words) {
  MPI_Init(&count, &words);
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  int rank, done = 0, status = MPI_SUCCESS, byte = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Barrier(MPI_COMM_WORLD);
  signal(SIGTERM, SIG_IGN);
  if (rank == 1) words[2][0] == 'k' ? kill(getpid(), SIGKILL) : sleep(4);
  sleep(1);
  for (int i = 0; i < 30 && status == MPI_SUCCESS; ++i) {
    MPI_Request request;
    status = MPI_Isend(&byte, 1, MPI_INT, 1, 0, MPI_COMM_WORLD, &request);
    if (status == MPI_SUCCESS) status = MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    usleep(50000);
  }
  fprintf(fopen(words[1], "w"), "rank 0 lives, the status is %d\n", status);
  fflush(NULL);
  _exit(0);
}
C
mpicc "$folder/survivor.c" -o "$folder/survivor"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
survive() {
  timeout 60 mpirun --oversubscribe --mca btl tcp,self --mca btl_tcp_if_include lo --mca odls_base_sigkill_timeout 5 \
    -n 2 "$folder/survivor" "$folder/$1" "$1" > /dev/null 2>&1 || true
  cat "$folder/$1" 2> /dev/null || echo "rank 0 was ended"
}
mpirun --version | head -n 1
echo "rank 1 lives: $(survive lives)"
echo "rank 1 is killed (expected: rank 0 lives, the status is an error): $(survive killed)"
[ -e "$folder/lives" ] && [ ! -e "$folder/killed" ]
