#include "worker/confinement.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <memory>
#include <vector>

#include "worker/landlock.h"

namespace moecollab::worker {
namespace {

constexpr rlim_t kMostMore = rlim_t{6} << 30;  // bytes of memory beside what there is

constexpr int kFirstLevel = 100;  // exit statuses from here on are levels, others are not ours

// Whatever their arguments.
constexpr int kRefused[] = {
    // connections, and what other processes can see
    SCMP_SYS(socket), SCMP_SYS(shmget), SCMP_SYS(shmat), SCMP_SYS(msgget), SCMP_SYS(semget),
    SCMP_SYS(mq_open), SCMP_SYS(mq_unlink),
    // other processes
    SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(kcmp),
    SCMP_SYS(pidfd_open), SCMP_SYS(pidfd_getfd), SCMP_SYS(pidfd_send_signal), SCMP_SYS(tkill),
    SCMP_SYS(rt_sigqueueinfo), SCMP_SYS(rt_tgsigqueueinfo), SCMP_SYS(setpriority),
    SCMP_SYS(ioprio_set), SCMP_SYS(process_madvise), SCMP_SYS(migrate_pages), SCMP_SYS(move_pages),
    SCMP_SYS(setsid),
    // attributes of files, which Landlock leaves alone
    SCMP_SYS(chmod), SCMP_SYS(fchmod), SCMP_SYS(fchmodat), SCMP_SYS(chown), SCMP_SYS(fchown),
    SCMP_SYS(lchown), SCMP_SYS(fchownat), SCMP_SYS(utime), SCMP_SYS(utimes), SCMP_SYS(utimensat),
    SCMP_SYS(futimesat), SCMP_SYS(setxattr), SCMP_SYS(lsetxattr), SCMP_SYS(fsetxattr),
    SCMP_SYS(removexattr), SCMP_SYS(lremovexattr), SCMP_SYS(fremovexattr), SCMP_SYS(truncate),
    SCMP_SYS(open_by_handle_at), SCMP_SYS(fanotify_init),
    // the system, and the kernel's wider doors
    SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(setns),
    SCMP_SYS(unshare), SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(reboot), SCMP_SYS(acct),
    SCMP_SYS(sethostname), SCMP_SYS(setdomainname), SCMP_SYS(settimeofday), SCMP_SYS(clock_settime),
    SCMP_SYS(clock_adjtime), SCMP_SYS(adjtimex), SCMP_SYS(quotactl), SCMP_SYS(init_module),
    SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load), SCMP_SYS(syslog), SCMP_SYS(vhangup), SCMP_SYS(iopl),
    SCMP_SYS(ioperm), SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(keyctl), SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register)};

// Later calls of the same kinds, which the system's headers may not know: fchmodat2, setxattrat,
// removexattrat, file_setattr.
constexpr int kNewer[] = {452, 463, 466, 469};

// A filter that lets everything through but what is refused.
class Refusals {
 public:
  Refusals() : context_(::seccomp_init(SCMP_ACT_ALLOW), &::seccomp_release) {}

  void refuse(int call, int error = EPERM, const std::vector<scmp_arg_cmp>& arguments = {}) {
    good_ =
        context_ != nullptr && good_ &&
        ::seccomp_rule_add_array(context_.get(), SCMP_ACT_ERRNO(static_cast<uint32_t>(error)), call,
                                 static_cast<unsigned>(arguments.size()), arguments.data()) == 0;
  }
  bool load() {
    return good_ &&
           ::seccomp_attr_set(context_.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) ==
               0 &&
           ::seccomp_load(context_.get()) == 0;
  }

 private:
  std::unique_ptr<void, decltype(&::seccomp_release)> context_;
  bool good_ = true;
};

bool refuse_calls() {
  Refusals filter;
  for (const int call : kRefused) filter.refuse(call);
  for (const int call : kNewer) filter.refuse(call);
  // Emptying needs no right to write that an older Landlock knows; by openat2() it could not be
  // seen.
  filter.refuse(SCMP_SYS(creat));
  filter.refuse(SCMP_SYS(open), EPERM, {SCMP_A1(SCMP_CMP_MASKED_EQ, O_TRUNC, O_TRUNC)});
  filter.refuse(SCMP_SYS(openat), EPERM, {SCMP_A2(SCMP_CMP_MASKED_EQ, O_TRUNC, O_TRUNC)});
  filter.refuse(SCMP_SYS(openat2), ENOSYS);
  const auto self = static_cast<scmp_datum_t>(::getpid());
  filter.refuse(SCMP_SYS(kill), EPERM, {SCMP_A0(SCMP_CMP_NE, self)});
  filter.refuse(SCMP_SYS(tgkill), EPERM, {SCMP_A0(SCMP_CMP_NE, self)});
  filter.refuse(SCMP_SYS(setpgid));
  // Limits of this process alone.
  filter.refuse(SCMP_SYS(prlimit64), EPERM, {SCMP_A0(SCMP_CMP_NE, 0), SCMP_A2(SCMP_CMP_NE, 0)});
  // Signals by a descriptor, and words typed on the operator's terminal.
  for (const int command : {F_SETOWN, F_SETOWN_EX, F_SETSIG})
    filter.refuse(SCMP_SYS(fcntl), EPERM,
                  {SCMP_A1_32(SCMP_CMP_EQ, static_cast<uint32_t>(command))});
  for (const unsigned long command : {TIOCSTI, FIOSETOWN, SIOCSPGRP})
    filter.refuse(SCMP_SYS(ioctl), EPERM,
                  {SCMP_A1_32(SCMP_CMP_EQ, static_cast<uint32_t>(command))});
  return filter.load();
}

}  // namespace

SandboxLevel confine() {
#if !defined(MOECOLLAB_UNDER_ASAN) && !defined(__SANITIZE_ADDRESS__)  // whose own memory is more
  const rlim_t most = writable_bytes() + kMostMore;
  const rlimit memory{most, most};
  ::setrlimit(RLIMIT_DATA, &memory);
#endif
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return SandboxLevel::kNone;
  const bool files = enter_landlock(LandlockAccess::kWriting);
  if (!refuse_calls()) return SandboxLevel::kNone;
  return files ? SandboxLevel::kFull : SandboxLevel::kCalls;
}

bool forbid_processes() {
  Refusals filter;
  for (const int call : {SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(execve), SCMP_SYS(execveat)})
    filter.refuse(call);
  filter.refuse(SCMP_SYS(clone3), ENOSYS);  // libc takes clone() then, whose arguments can be seen
  filter.refuse(SCMP_SYS(clone), EPERM, {SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0)});
  return filter.load();
}

SandboxLevel confinement_level() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(kFirstLevel + static_cast<int>(confine()));
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
      WEXITSTATUS(status) < kFirstLevel)
    return SandboxLevel::kNone;
  return static_cast<SandboxLevel>(WEXITSTATUS(status) - kFirstLevel);
}

}  // namespace moecollab::worker
