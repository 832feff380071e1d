// SPDX-License-Identifier: MIT
// Values that syscalls take as text, checked; and who a caller is, as sentences say it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "kernel/configuration.h"
#include "kernel/kernel.h"

namespace agentfs::values {

inline constexpr std::size_t kMostText = std::size_t{16} << 20;  // of a file that a tool writes

Status check_name(std::string_view name);     // 1 to 64 of [a-z0-9-]
Status check_message(std::string_view text);  // UTF-8, no NUL, not empty, at most 1 MiB
// -20 to 19; EPERM for what comes before the agent that gives it (null: a person).
Result<int> priority(std::int64_t value, const Process* agent);
// "10m" from now or "2026-01-31T12:00:00Z"; "", "0" and "none" are 0: none. It must be to come;
// EPERM beyond that of the agent that gives it (null: a person).
Result<std::int64_t> deadline(std::string_view text, std::int64_t now, const Process* agent);
// A directory of the data trees that is there; relative to `base`.
Result<std::string> directory(const Kernel& kernel, const Caller& caller, std::string_view path,
                              std::string_view base);
// What a message is from: "root" for a person, "pid 5" for an agent.
std::string sender(const Kernel& kernel, const Caller& caller);
// The cwd that relative paths of the caller start at.
std::string cwd(const Kernel& kernel, const Caller& caller);
// Whether a path lies in the workspace or home of an agent, or in /tmp: what its commands see.
bool is_seen_by(const Process& agent, const std::string& path);
// Null for a person: the agent process that acts.
ProcessRef acting_agent(const Kernel& kernel, const Caller& caller);
// A profile that somebody gives to a process: an agent gives no tools that its own has not (EPERM);
// null for a person.
Result<ProfileSettings> profile(const Kernel& kernel, const Process* agent,
                                const std::string& name);

bool gives(const ProfileSettings& profile, std::string_view tool);
// EPERM where an agent acts whose profile does not give it that tool.
Status may_use(const Kernel& kernel, const Caller& caller, std::string_view tool);

}  // namespace agentfs::values
