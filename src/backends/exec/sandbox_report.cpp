// SPDX-License-Identifier: MIT
#include "backends/exec/sandbox_report.h"

#include <unistd.h>

#include <algorithm>

#include "backends/exec/bubblewrap.h"
#include "backends/exec/cgroups.h"
#include "base/spawn.h"
#include "base/text.h"

namespace agentfs {
namespace {

constexpr int kOldestUsefulLandlock = 3;  // truncation
constexpr int kNewestLandlockUsed = 6;    // signals and abstract sockets

SandboxCheck check_program(const std::string& program) {
  if (::access(program.c_str(), X_OK) == 0) return {"agentfs-sandbox", true, program, ""};
  return {"agentfs-sandbox", false, "not to be run: " + program, "install agentfs whole"};
}

SandboxCheck check_bubblewrap(const Result<exec::Bubblewrap>& found) {
  if (!found) return {"bubblewrap", false, found.error().message, "install the package bubblewrap"};
  SandboxCheck check{"bubblewrap", true, found->version + " at " + found->path, ""};
  if (!found->disables_userns || !found->bounds_tmpfs) {
    check.text += ", where --disable-userns or --size does not work";
    check.advice = "0.8 or newer with a writable /proc/sys is better; the sandbox works without";
  }
  return check;
}

SandboxCheck check_user_namespaces(const Result<exec::Bubblewrap>& found) {
  const std::string name = "user namespaces";
  if (!found)
    return {name, false, "not tried without bubblewrap", "install the package bubblewrap"};
  const auto run = exec::try_bubblewrap(*found);
  if (run && run->exit_code == 0) return {name, true, "can be made", ""};
  const std::string said = run ? std::string(text::trim(run->output)) : run.error().message;
  return {name, false, "refused: " + text::shown(said),
          "allow them (sysctl kernel.unprivileged_userns_clone=1, "
          "kernel.apparmor_restrict_unprivileged_userns=0, user.max_user_namespaces above 0), or "
          "run as root, or say sandbox = \"none\" in /etc/devices/local.toml"};
}

SandboxCheck check_landlock(const std::string& program) {
  const auto run = run_briefly({program, "landlock"});
  const int abi = run ? text::number<int>(text::trim(run->output)).value_or(0) : 0;
  SandboxCheck check{"Landlock", abi >= kOldestUsefulLandlock, fmt::format("version {}", abi), ""};
  if (abi == 0) check.text = "not in this kernel, or not enabled";
  if (abi < kNewestLandlockUsed) {
    check.advice =
        "a kernel of 6.12 or newer with landlock in lsm= has all that is used; the "
        "sandbox works without, with one wall less";
  }
  return check;
}

SandboxCheck check_cgroups() {
  const exec::CgroupPlaces places = exec::find_cgroup_places();
  exec::remove_cgroup_places(places);
  SandboxCheck check{"cgroups", places.limits_memory() && places.limits_processes(), "", ""};
  const char* version = places.unified.empty() ? "version 1" : "version 2";
  check.text = check.ok
                   ? std::string(version)
                   : fmt::format("memory: {}, processes: {}", places.limits_memory() ? "yes" : "no",
                                 places.limits_processes() ? "yes" : "no");
  if (!check.ok) {
    check.advice =
        "start agentfs as a systemd user unit (Delegate=yes) or as root; without, each "
        "process is limited by itself and not the command as a whole";
  }
  return check;
}

}  // namespace

bool SandboxReport::ok() const {
  return std::ranges::all_of(checks, [](const SandboxCheck& check) { return check.ok; });
}

SandboxReport probe_sandbox(const std::string& program) {
  const auto bubblewrap = exec::find_bubblewrap();
  return {{check_program(program), check_bubblewrap(bubblewrap), check_user_namespaces(bubblewrap),
           check_landlock(program), check_cgroups()}};
}

}  // namespace agentfs
