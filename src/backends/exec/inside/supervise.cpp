// SPDX-License-Identifier: MIT
#include "backends/exec/inside/supervise.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "backends/exec/inside/landlock.h"
#include "backends/exec/inside/overlay.h"
#include "backends/exec/inside/seccomp.h"
#include "backends/exec/inside/user.h"

namespace agentfs::exec {
namespace {

constexpr rlim_t kOpenFiles = 4096;
constexpr rlim_t kMostOpenFiles = 65536;

void limit(__rlimit_resource resource, rlim_t soft, rlim_t hard) {
  rlimit old{};
  ::getrlimit(resource, &old);
  const rlimit wanted{std::min(soft, old.rlim_max), std::min(hard, old.rlim_max)};
  if (::setrlimit(resource, &wanted) != 0) fail_with("setrlimit");
}

void limit(__rlimit_resource resource, long long value) {
  if (value > 0) limit(resource, static_cast<rlim_t>(value), static_cast<rlim_t>(value));
}

void limit_resources(const Spec& spec) {
  limit(RLIMIT_CORE, 0, 0);
  limit(RLIMIT_NOFILE, kOpenFiles, kMostOpenFiles);
  limit(RLIMIT_FSIZE, spec.file_bytes);
  limit(RLIMIT_AS, spec.address_space);
  limit(RLIMIT_NPROC, spec.processes);
}

// The kernel's choice when memory runs out is then the command and not its supervisor.
void offer_to_out_of_memory_killer() {
  const int fd = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  [[maybe_unused]] const ssize_t put = ::write(fd, "500", 3);
  ::close(fd);
}

void reset_signals() {
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void enter_directory(const Spec& spec) {
  if (::chdir(spec.directory.c_str()) == 0) return;
  const int code = errno;
  fail_with("cwd: cannot be entered (" + spec.directory + ": " + std::strerror(code) +
                "); a directory the command can see would do",
            code);
}

[[noreturn]] void become_command(const Spec& spec, Confinement confinement) {
  // In a sandbox it has been done. Without one the supervisor stays who it is, so that the command
  // of another user cannot end it and leave what it has started to nobody.
  if (confinement == Confinement::none) become_user(spec);
  ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  ::setsid();
  enter_directory(spec);
  offer_to_out_of_memory_killer();
  std::vector<char*> environment;
  for (const std::string& text : spec.environment) {
    environment.push_back(const_cast<char*>(text.c_str()));
  }
  environment.push_back(nullptr);
  if (confinement == Confinement::sandbox) {
    restrict_writes(spec);
    refuse_system_calls();
  }
  limit_resources(spec);  // last: they are the command's, and not what is done for it here
  reset_signals();
  const char* arguments[] = {"sh", "-c", spec.command.c_str(), nullptr};
  ::execve("/bin/sh", const_cast<char* const*>(arguments), environment.data());
  fail_with(errno == E2BIG ? "command: too long; put it into a file and run that" : "/bin/sh");
}

void wait_for_go() {
  send_message(Message::ready, "");
  char letter = 0;
  ssize_t got = 0;
  do {
    got = ::recv(kControlFd, &letter, 1, 0);
  } while (got < 0 && errno == EINTR);
  if (got != 1 || letter != static_cast<char>(Message::go)) ::_exit(127);  // the daemon is gone
}

void report(int status) {
  if (WIFSIGNALED(status)) {
    send_message(Message::signalled, std::to_string(WTERMSIG(status)));
  } else {
    send_message(Message::exited, std::to_string(WEXITSTATUS(status)));
  }
}

pid_t parent_of(const char* pid) {
  const std::string path = std::string("/proc/") + pid + "/stat";
  std::FILE* stat = std::fopen(path.c_str(), "re");
  if (stat == nullptr) return 0;
  char line[512] = "";
  const bool got = std::fgets(line, sizeof line, stat) != nullptr;
  std::fclose(stat);
  const char* name_end = got ? std::strrchr(line, ')') : nullptr;  // a name may hold anything
  int parent = 0;
  if (name_end == nullptr || std::sscanf(name_end, ") %*c %d", &parent) != 1) return 0;
  return parent;
}

void kill_children() {
  DIR* processes = ::opendir("/proc");
  if (processes == nullptr) return;
  while (const dirent* entry = ::readdir(processes)) {
    if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
    if (parent_of(entry->d_name) == ::getpid()) ::kill(std::atoi(entry->d_name), SIGKILL);
  }
  ::closedir(processes);
}

// As the subreaper this process inherits the children of whatever it kills, until none is left.
void kill_descendants() {
  for (;;) {
    const pid_t gone = ::waitpid(-1, nullptr, WNOHANG);
    if (gone < 0 && errno == ECHILD) return;
    if (gone > 0) continue;
    kill_children();
    ::waitpid(-1, nullptr, 0);
  }
}

// Reaps until the command itself has ended (true) or the daemon wants it to end (false).
bool wait_for(pid_t command, const sigset_t& awaited) {
  for (;;) {
    int status = 0;
    const pid_t gone = ::waitpid(-1, &status, WNOHANG);
    if (gone == command) {
      report(status);
      return true;
    }
    if (gone != 0) continue;
    if (::sigwaitinfo(&awaited, nullptr) == SIGTERM) return false;
  }
}

// The output belongs to the command: a supervisor that held the pipe would keep it open.
void let_go_of_output() {
  ::dup2(STDIN_FILENO, STDOUT_FILENO);
  ::dup2(STDIN_FILENO, STDERR_FILENO);
}

}  // namespace

void supervise(const Spec& spec, Confinement confinement) {
  const bool sandbox = confinement == Confinement::sandbox;
  ::prctl(PR_SET_PDEATHSIG, sandbox ? SIGKILL : SIGTERM, 0, 0, 0);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  ::fcntl(kControlFd, F_SETFD, FD_CLOEXEC);
  ::close(kSpecFd);
  sigset_t awaited;
  sigemptyset(&awaited);
  sigaddset(&awaited, SIGCHLD);
  sigaddset(&awaited, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &awaited, nullptr);
  check_overlay(spec);
  wait_for_go();
  // /proc/1/fd/3 must not be openable by the command, which has the same user id.
  if (sandbox) ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  const pid_t command = ::fork();
  if (command < 0) fail_with("fork");
  if (command == 0) become_command(spec, confinement);
  let_go_of_output();
  wait_for(command, awaited);
  if (!sandbox) kill_descendants();
  ::_exit(0);
}

}  // namespace agentfs::exec
