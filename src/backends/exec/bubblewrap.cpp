// SPDX-License-Identifier: MIT
#include "backends/exec/bubblewrap.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "backends/exec/inside/protocol.h"
#include "base/file.h"
#include "base/text.h"

namespace agentfs::exec {
namespace {

using Arguments = std::vector<std::string>;

constexpr auto kSystemDirectories =
    std::to_array<const char*>({"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"});

// Of /etc only what programs need to run: no keys, no passwords, no host settings. Few, since each
// is a mount, for which bubblewrap reads the list of all mounts.
constexpr auto kSettings = std::to_array<const char*>(
    {"/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/ld.so.cache", "/etc/alternatives",
     "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/java-11-openjdk", "/etc/java-17-openjdk",
     "/etc/java-21-openjdk"});

// Links into /usr, which can be made again inside.
constexpr auto kLinkedSettings = std::to_array<const char*>({"/etc/localtime", "/etc/os-release"});

constexpr auto kNetworkSettings =
    std::to_array<const char*>({"/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/gai.conf",
                                "/etc/services", "/etc/protocols", "/etc/netconfig"});

// Places that the sandbox fills itself.
constexpr auto kReserved =
    std::to_array<std::string_view>({"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
                                     "/etc", "/proc", "/dev", "/sys", "/run"});

void add(Arguments& arguments, std::initializer_list<std::string> more) {
  arguments.insert(arguments.end(), more);
}

// Shows a path of the system: a link as a link, what is not there not at all.
void add_as_it_is(Arguments& arguments, const std::string& path) {
  std::array<char, 256> target{};
  if (::readlink(path.c_str(), target.data(), target.size() - 1) > 0) {
    add(arguments, {"--symlink", target.data(), path});
  } else if (file::exists(path)) {
    add(arguments, {"--ro-bind", path, path});
  }
}

Arguments system_paths() {
  Arguments arguments{"--ro-bind", "/usr", "/usr"};
  for (const char* path : kSystemDirectories) add_as_it_is(arguments, path);
  for (const char* path : kLinkedSettings) add_as_it_is(arguments, path);
  for (const std::string path : kSettings) {
    if (file::exists(path)) add(arguments, {"--ro-bind-try", path, path});
  }
  return arguments;
}

std::string find_program() {
  const char* path = std::getenv("PATH");
  std::string places = path == nullptr ? "" : path;
  places += ":/usr/bin:/usr/local/bin:/bin";
  for (const std::string_view place : text::split(places, ':')) {
    if (!place.starts_with('/')) continue;
    std::string candidate = std::string(place) + "/bwrap";
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return "";
}

Status check_bind(const std::string& host, const std::string& inside) {
  if (!host.starts_with('/') || !inside.starts_with('/') || inside == "/") {
    return fail(EINVAL, "bind: not two absolute paths below / ({} at {})", text::shown(host),
                text::shown(inside));
  }
  for (const std::string_view part : text::split(inside, '/')) {
    if (part != "..") continue;
    return fail(EINVAL, "bind: has .. in it ({}); the plain path would do", text::shown(inside));
  }
  for (const std::string_view reserved : kReserved) {
    if (!text::is_in(inside, reserved)) continue;
    return fail(EINVAL, "bind: {} is the system's ({}); a path such as /workspaces/site would do",
                reserved, text::shown(inside));
  }
  return ok();
}

// Private directories of memory; their pages count against the command's limit.
void add_tmpfs(Arguments& arguments, const Bubblewrap& bubblewrap, const ExecRequest& request,
               const std::string& path) {
  add(arguments, {"--perms", "1777"});
  const std::int64_t bytes = request.limits.memory_bytes;
  if (bubblewrap.bounds_tmpfs && bytes > 0) add(arguments, {"--size", std::to_string(bytes)});
  add(arguments, {"--tmpfs", path});
}

void add_system(Arguments& arguments, const Bubblewrap& bubblewrap, const ExecRequest& request) {
  const Arguments& paths = bubblewrap.system_paths;
  arguments.insert(arguments.end(), paths.begin(), paths.end());
  if (request.network) {
    for (const std::string path : kNetworkSettings) add(arguments, {"--ro-bind-try", path, path});
  }
  add(arguments, {"--proc", "/proc", "--dev", "/dev"});
  add_tmpfs(arguments, bubblewrap, request, "/dev/shm");
  add_tmpfs(arguments, bubblewrap, request, "/tmp");
}

}  // namespace

Result<Bubblewrap> find_bubblewrap() {
  Bubblewrap found;
  found.path = find_program();
  if (found.path.empty()) {
    return fail(EPERM,
                "sandbox: bubblewrap is not installed (no bwrap in PATH); the package "
                "bubblewrap would do");
  }
  const BriefRun version = TRY(run_briefly({found.path, "--version"}));
  const auto words = text::words(version.output);
  if (version.exit_code != 0 || words.empty()) {
    return fail(EPERM, "sandbox: {} does not run ({}); the package bubblewrap would do", found.path,
                text::shown(text::trim(version.output)));
  }
  found.version = words.back();
  const BriefRun help = TRY(run_briefly({found.path, "--help"}));
  found.disables_userns = help.output.contains("--disable-userns");
  found.bounds_tmpfs = help.output.contains("--size BYTES");
  found.system_paths = system_paths();
  // In a container /proc/sys can be read-only, which fails that option alone. The filter of system
  // calls refuses new namespaces too, so the sandbox can do without.
  if (found.disables_userns) {
    const auto tried = try_bubblewrap(found);
    found.disables_userns = tried && tried->exit_code == 0;
  }
  return found;
}

Result<BriefRun> try_bubblewrap(const Bubblewrap& bubblewrap) {
  Arguments line{bubblewrap.path, "--unshare-all", "--unshare-user", "--cap-drop", "ALL"};
  if (bubblewrap.disables_userns) add(line, {"--disable-userns"});
  const Arguments& paths = bubblewrap.system_paths;
  line.insert(line.end(), paths.begin(), paths.end());
  add(line, {"--proc", "/proc", "--dev", "/dev", "--", "/bin/sh", "-c", ":"});
  return run_briefly(line);
}

Result<std::vector<std::string>> bubblewrap_arguments(const Bubblewrap& bubblewrap,
                                                      const ExecRequest& request,
                                                      const std::string& program) {
  Arguments arguments{bubblewrap.path, "--unshare-all", "--unshare-user"};
  if (bubblewrap.disables_userns) add(arguments, {"--disable-userns"});
  if (request.network) add(arguments, {"--share-net"});
  add(arguments, {"--cap-drop", "ALL", "--die-with-parent", "--new-session", "--as-pid-1",
                  "--hostname", "agentfs", "--clearenv", "--info-fd", std::to_string(kInfoFd)});
  add_system(arguments, bubblewrap, request);
  for (const auto& [host, inside] : request.binds) {
    TRY(check_bind(host, inside));
    const bool is_overlay = request.overlay && inside == request.overlay->inside;
    add(arguments, {"--bind", is_overlay ? request.overlay->upper : host, inside});
  }
  add(arguments, {"--ro-bind", program, kProgramInside});
  // After all mounts: bubblewrap's own tmpfs below them would take files too.
  add(arguments, {"--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/", "--", kProgramInside,
                  "inside"});
  return arguments;
}

}  // namespace agentfs::exec
