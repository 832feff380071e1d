// SPDX-License-Identifier: MIT
#include "kernel/syscalls/values.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/clock.h"
#include "base/text.h"
#include "kernel/paths.h"

namespace agentfs::values {
namespace {

constexpr std::size_t kMostName = 64;
constexpr std::size_t kMostMessage = std::size_t{1} << 20;

}  // namespace

Status check_name(std::string_view name) {
  const bool is_plain =
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
  if (is_plain && !name.empty() && name.size() <= kMostName) return ok();
  return fail(EINVAL, "name: cannot be {}; 1 to {} of a-z, 0-9 and - would do", text::shown(name),
              kMostName);
}

Status check_message(std::string_view message) {
  if (message.size() > kMostMessage) {
    return fail(EMSGSIZE,
                "message: {} bytes are too many; at most {} are taken, and a file can "
                "hold the rest",
                message.size(), kMostMessage);
  }
  if (text::trim(message).empty()) {
    return fail(EINVAL, "message: is empty; a text that says what is wanted would do");
  }
  if (message.find('\0') != std::string_view::npos) {
    return fail(EINVAL, "message: has a NUL byte at {}; plain text would do", message.find('\0'));
  }
  if (!text::is_utf8(message)) {
    return fail(EINVAL, "message: is not UTF-8 ({}); plain text would do", text::shown(message));
  }
  return ok();
}

Result<int> priority(std::int64_t value, const Process* agent) {
  if (value < -20 || value > 19) {
    return fail(EINVAL, "priority: out of range ({}); a number from -20 (first) to 19 would do",
                value);
  }
  if (agent != nullptr && value < agent->priority) {
    return fail(EPERM, "priority: an agent gives no more than its own ({}); {} to 19 would do",
                value, agent->priority);
  }
  return static_cast<int>(value);
}

namespace {

Result<std::int64_t> moment_of(std::string_view text, std::int64_t now) {
  if (text.empty() || text == "0" || text == "none") return 0;
  const auto from_now = text::duration(text);
  const auto moment = parse_timestamp(text);
  if (!from_now && !moment) {
    return fail(EINVAL,
                "deadline: cannot be {}; a duration such as 30m, a time such as "
                "2030-01-31T12:00:00Z, or none would do",
                text::shown(text));
  }
  if (from_now && *from_now > std::numeric_limits<std::int64_t>::max() - now) {
    return fail(EINVAL, "deadline: too far ahead ({}); none would do", text::shown(text));
  }
  const std::int64_t at = moment ? *moment : now + *from_now;
  if (at > now) return at;
  return fail(EINVAL, "deadline: has passed already ({}, now it is {}); one to come would do",
              text::shown(text), timestamp(now));
}

}  // namespace

Result<std::int64_t> deadline(std::string_view text, std::int64_t now, const Process* agent) {
  const std::int64_t moment = TRY(moment_of(text, now));
  const std::int64_t most = agent != nullptr ? agent->deadline : 0;
  if (most == 0 || (moment != 0 && moment <= most)) return moment;
  return fail(EPERM,
              "deadline: an agent gives none beyond its own ({}); an earlier one than {} would do",
              text::shown(text), timestamp(most));
}

Result<std::string> directory(const Kernel& kernel, const Caller& caller, std::string_view path,
                              std::string_view base) {
  const std::string plain = paths::normalise(path, base);
  if (path.find('\0') != std::string_view::npos || !paths::is_data(plain)) {
    return fail(EINVAL, "cwd: cannot be {}; a directory below /workspaces, /home or /tmp would do",
                text::shown(plain));
  }
  // By the mount's own ways and the caller's rights: a link may lead to where the daemon would ask
  // itself, or to what is not the caller's to know of.
  const auto attributes = kernel.paths().attributes(caller, plain);
  if (!attributes) {
    errno = attributes.error().code;
    return fail_errno("cwd " + plain);
  }
  if (!S_ISDIR(attributes->st_mode)) {
    return fail(ENOTDIR, "cwd: {} is no directory", plain);
  }
  return plain;
}

ProcessRef acting_agent(const Kernel& kernel, const Caller& caller) {
  ProcessRef process = kernel.find_process(caller.process);
  return process != nullptr && !process->is_init ? process : nullptr;
}

Result<ProfileSettings> profile(const Kernel& kernel, const Process* agent,
                                const std::string& name) {
  ProfileSettings given = TRY(kernel.configuration().profile(name));
  if (agent == nullptr) return given;
  const auto own = kernel.configuration().profile(agent->profile);
  if (!own) return std::unexpected(own.error());
  if (!own->tools) return given;
  std::vector<std::string> more;
  for (const std::string& tool : given.tools.value_or(std::vector<std::string>())) {
    if (!gives(*own, tool)) more.push_back(tool);
  }
  if (given.tools && more.empty()) return given;
  return fail(EPERM,
              "profile: {} has {}, which {}, the profile of process {}, has not; a profile with no "
              "more tools would do",
              text::shown(name), more.empty() ? "all tools" : text::join(more, ", "),
              agent->profile, agent->pid.value);
}

bool gives(const ProfileSettings& profile, std::string_view tool) {
  return !profile.tools || std::ranges::find(*profile.tools, tool) != profile.tools->end();
}

Status may_use(const Kernel& kernel, const Caller& caller, std::string_view tool) {
  const ProcessRef agent = acting_agent(kernel, caller);
  if (agent == nullptr) return ok();
  const ProfileSettings profile = TRY(kernel.configuration().profile(agent->profile));
  if (gives(profile, tool)) return ok();
  return fail(EPERM,
              "{}: {}, the profile of process {}, does not give that tool, nor another way to it",
              tool, agent->profile, agent->pid.value);
}

std::string sender(const Kernel& kernel, const Caller& caller) {
  const ProcessRef process = kernel.find_process(caller.process);
  if (process == nullptr) return kernel.user_name(caller.host.uid);
  return process->is_init ? process->user : fmt::format("pid {}", process->pid.value);
}

std::string cwd(const Kernel& kernel, const Caller& caller) {
  const ProcessRef process = kernel.find_process(caller.process);
  return process == nullptr || process->cwd.empty() ? "/" : process->cwd;
}

bool is_seen_by(const Process& agent, const std::string& path) {
  return text::is_in(path, "/tmp") || text::is_in(path, "/home/" + agent.user) ||
         (!agent.workspace.empty() && text::is_in(path, "/workspaces/" + agent.workspace));
}

}  // namespace agentfs::values
