#!/bin/sh
# Two "hosts" on one machine, each a network namespace with a host name and process numbers of its own, joined by a
# cable: two_hosts.sh COMMAND… runs the command on the first, as root. There mpirun reaches the second as beta, by
# two_hosts.sh itself in the place of ssh. What both would share, they do: the file system.
set -eu
here=$(realpath "$0")
if [ "${TWO_HOSTS_INSIDE:-}" = 1 ] && [ "${1:-}" = beta ]; then  # as ssh: HOST COMMAND…
  shift
  exec nsenter --target "$TWO_HOSTS_BETA" --net --uts --pid --mount sh -c "$*"
fi
name=mc$$
cleanup() {
  [ -z "${beta:-}" ] || kill -9 "$beta" 2> /dev/null || true
  ip netns delete "$name" 2> /dev/null || true
}
trap cleanup EXIT
ip netns add "$name"
unshare --net --uts --pid --mount --fork --kill-child --mount-proc sh -c 'hostname beta; exec sleep 1000' &
holder=$!
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  beta=$(cat "/proc/$holder/task/$holder/children" 2> /dev/null | tr -d ' ')
  [ -n "$beta" ] && [ "$(nsenter --target "$beta" --uts hostname)" = beta ] && break
  sleep 0.1
done
ip -n "$name" link add va type veth peer name vb netns "$beta"
ip -n "$name" address add 10.77.0.1/24 dev va
ip -n "$name" link set va up
ip -n "$name" link set lo up
nsenter --target "$beta" --net ip address add 10.77.0.2/24 dev vb
nsenter --target "$beta" --net ip link set vb up
nsenter --target "$beta" --net ip link set lo up
export TWO_HOSTS_INSIDE=1 TWO_HOSTS_BETA="$beta"
export OMPI_MCA_plm_rsh_agent="$here" OMPI_MCA_btl_tcp_if_include=10.77.0.0/24 OMPI_MCA_oob_tcp_if_include=10.77.0.0/24
ip netns exec "$name" unshare --uts sh -c 'hostname alpha; mount -t tmpfs none /mnt; cat /etc/hosts > /mnt/hosts
  printf "10.77.0.1 alpha\n10.77.0.2 beta\n" >> /mnt/hosts; mount --bind /mnt/hosts /etc/hosts; exec "$@"' sh "$@"
