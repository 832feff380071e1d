// SPDX-License-Identifier: MIT
#include "doctor.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <vector>

#include "backends/exec/sandbox_driver.h"
#include "backends/exec/sandbox_report.h"
#include "backends/http/discovery.h"
#include "base/file.h"
#include "base/spawn.h"
#include "base/text.h"
#include "base/users.h"
#include "fs/fuse/awake_cpus.h"
#include "fs/fuse/session.h"
#include "kernel/configuration.h"
#include "serving.h"
#include "state_directory.h"

namespace agentfs {
namespace {

enum class Verdict { ok, note, fail };

struct Finding {
  Verdict verdict = Verdict::ok;
  std::string what;
  std::string text;
  std::string advice;
};

Finding check_kernel() {
  utsname name{};
  ::uname(&name);
  return {Verdict::ok, "kernel", fmt::format("{} {}", name.sysname, name.release), ""};
}

Finding check_device() {
  const UniqueFd fd(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (fd) return {Verdict::ok, "/dev/fuse", "can be opened", ""};
  if (errno == ENOENT) {
    return {Verdict::fail, "/dev/fuse", "absent",
            "load the module fuse, or give the container the device"};
  }
  return {Verdict::fail, "/dev/fuse", errno_name(errno),
          "make it readable and writable for this user (mode 0666 is usual)"};
}

bool is_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  for (const auto folder : text::split(path != nullptr ? path : "/usr/bin:/bin", ':')) {
    if (::access((std::string(folder) + "/" + name).c_str(), X_OK) == 0) return true;
  }
  return false;
}

Finding check_fusermount() {
  if (is_program("fusermount3")) return {Verdict::ok, "fusermount3", "found", ""};
  if (::geteuid() == 0) {
    return {Verdict::note, "fusermount3", "not found; root mounts without it",
            "install the package fuse3 for ordinary users"};
  }
  return {Verdict::fail, "fusermount3", "not found", "install the package fuse3"};
}

// fusermount3 mounts for users with a name only.
Finding check_user() {
  const uid_t uid = ::geteuid();
  if (const auto user = find_user(uid)) {
    return {Verdict::ok, "user", fmt::format("{} ({})", user->name, uid), ""};
  }
  return {uid == 0 ? Verdict::note : Verdict::fail, "user",
          fmt::format("uid {} has no entry in passwd; fusermount3 mounts for no such user", uid),
          "give it one (useradd, or a line of /etc/passwd), or mount as root"};
}

Finding check_git() {
  if (is_program("git")) return {Verdict::ok, "git", "found", ""};
  return {Verdict::note, "git", "not found", "install git to look at the history of workspaces"};
}

// What would let the host's kernel read and write files of the data trees past the daemon.
Finding check_passthrough() {
  const fuse::Library library = fuse::library();
  const std::string what = "passthrough of file contents";
  const std::string text = fmt::format("libfuse {}", library.version);
  if (!library.passthrough) {
    return {Verdict::note, what, text + " has none: reads and writes of files cost a wake-up each",
            "scripts/deps fuse builds a newer one, which the next build takes"};
  }
  utsname name{};
  ::uname(&name);
  int major = 0;
  int minor = 0;
  if (std::sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
      std::pair(major, minor) < std::pair(6, 9)) {
    return {Verdict::note, what, "this kernel has none", "Linux 6.9 or newer has"};
  }
  if (::geteuid() != 0) {
    return {Verdict::note, what, text + "; the kernel lets root alone", "mount as root for it"};
  }
  return {Verdict::ok, what,
          text + "; -o passthrough switches it on, and a mount's sys/fs/stats says so", ""};
}

// What would answer requests of the data trees on the CPU that they come from.
Finding check_io_uring() {
  const std::string what = "io_uring for the data trees";
  const std::string why_not = why_no_io_uring();
  if (!why_not.empty()) return {Verdict::note, what, why_not, ""};
  return {Verdict::ok, what,
          fmt::format("libfuse {}; -o io_uring switches it on, and a mount's sys/fs/stats says so",
                      fuse::library().version),
          ""};
}

// What a request costs is mostly the waking of who answers it, and of who has asked.
Finding check_idle_cpus() {
  const fuse::IdleCpus found = fuse::idle_cpus();
  const bool is_slow = found.halt && !found.may_be_awake;
  return {is_slow ? Verdict::note : Verdict::ok, "CPUs without work", found.text, found.advice};
}

Finding check_state(const std::string& state) {
  if (const Status ours = StateDirectory::check_owner(state); !ours) {
    return {Verdict::fail, "state", ours.error().message, "run this as its owner"};
  }
  struct statvfs room{};
  const std::string place = file::exists(state) ? state : "/";
  if (::statvfs(place.c_str(), &room) != 0) {
    return {Verdict::fail, "state", fmt::format("{}: {}", state, errno_name(errno)),
            "give --state"};
  }
  const auto free_mib = room.f_bavail * room.f_frsize / (1024 * 1024);
  const auto verdict = free_mib < 256 ? Verdict::fail : Verdict::ok;
  return {verdict, "state", fmt::format("{}, {} MiB free", state, free_mib),
          verdict == Verdict::ok ? "" : "free some room, or give another --state"};
}

// One that the daemon starts: without it there are no turn commits, or no events for watchers.
Finding check_program(const std::string& name, Verdict without) {
  const auto program = find_own_program(name);
  if (program) return {Verdict::ok, name, *program, ""};
  return {without, name, program.error().message, "build or install it beside agentfs"};
}

void add_sandbox(std::vector<Finding>& findings) {
  const auto program = find_sandbox_program();
  if (!program) {
    findings.push_back({Verdict::fail, "agentfs-sandbox", program.error().message,
                        "build or install it beside agentfs"});
    return;
  }
  for (const SandboxCheck& check : probe_sandbox(*program).checks) {
    findings.push_back(
        {check.ok ? Verdict::ok : Verdict::fail, check.name, check.text, check.advice});
  }
}

Finding check_model(const std::string& state) {
  const std::string advice =
      "set OPENAI_API_KEY, or OPENAI_BASE_URL and OPENAI_MODEL, or write etc/models/default.toml";
  const std::string etc = state + "/etc";
  if (file::exists(etc + "/models/default.toml")) {
    const auto configuration = Configuration::open(etc);
    if (!configuration) return {Verdict::fail, "model", configuration.error().message, advice};
    const auto model = (*configuration)->model("default");
    if (!model) return {Verdict::fail, "model", model.error().message, advice};
    return {Verdict::ok, "model",
            fmt::format("default.toml: {} at {}", model->model,
                        model->base_url.empty() ? model->driver : model->base_url),
            ""};
  }
  if (const auto found = settings_from_environment()) {
    return {Verdict::ok, "model",
            fmt::format("environment: {} at {}", found->model, found->base_url), ""};
  }
  if (const auto found = discover_local()) {
    return {Verdict::ok, "model",
            fmt::format("local server: {} at {}", found->model, found->base_url), ""};
  }
  return {Verdict::note, "model", "none found: agents get the script model", advice};
}

void print(const Finding& finding) {
  const char* word = finding.verdict == Verdict::ok     ? "ok  "
                     : finding.verdict == Verdict::note ? "note"
                                                        : "FAIL";
  fmt::print("{} {}: {}{}{}\n", word, finding.what, finding.text,
             finding.advice.empty() ? "" : "; ", finding.advice);
}

}  // namespace

int run_doctor(const std::string& state) {
  std::vector<Finding> findings{check_kernel(),
                                check_device(),
                                check_fusermount(),
                                check_user(),
                                check_git(),
                                check_program("agentfs-commit", Verdict::fail),
                                check_program("agentfs-announce", Verdict::note)};
  add_sandbox(findings);
  findings.push_back(check_passthrough());
  findings.push_back(check_io_uring());
  findings.push_back(check_idle_cpus());
  findings.push_back(check_state(state));
  findings.push_back(check_model(state));
  bool failed = false;
  for (const Finding& finding : findings) {
    print(finding);
    failed = failed || finding.verdict == Verdict::fail;
  }
  return failed ? 1 : 0;
}

}  // namespace agentfs
