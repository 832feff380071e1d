// SPDX-License-Identifier: MIT
// Extended attributes, and which of them belong to what.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>

namespace agentfs {

using Xattrs = std::map<std::string, std::string>;  // names and values, any bytes

inline constexpr std::size_t kLongestXattr = 64U << 10U;  // bytes; the kernel's own bound

// Access control lists are rights, as a mode is. What is made in a directory with a default one has
// these from there; a copy has its origin's alone.
inline constexpr std::array kAclNames = {"system.posix_acl_access", "system.posix_acl_default"};
inline bool is_acl(std::string_view name) {
  return std::ranges::find(kAclNames, name) != kAclNames.end();
}

// What a program may do beyond its caller. A write, or a change of the owner, takes it away.
inline constexpr const char* kCapabilityName = "security.capability";

// What goes along with a file that is moved or brought back by copies: what users have set, and
// capabilities; ACLs are beside that.
inline bool goes_along(std::string_view name) {
  const bool is_users = name.starts_with("user.") && !name.starts_with("user.agentfs.");
  return is_users || name == kCapabilityName;
}

// Both: what a copy that is to be the file has.
inline bool is_brought(std::string_view name) { return is_acl(name) || goes_along(name); }

// What belongs to a file wherever it lies: not what agentfs tells, nor what an overlay keeps there,
// nor labels and seals, which the host's kernel gives each file by its own rules.
inline bool is_of_file(std::string_view name) {
  constexpr std::array<std::string_view, 7> kOthers = {
      "user.agentfs.",     "trusted.overlay.", "security.selinux", "security.SMACK64",
      "security.apparmor", "security.ima",     "security.evm"};
  return std::ranges::none_of(kOthers, [&](std::string_view one) { return name.starts_with(one); });
}

// What an import does not show of a file of the host: a file that moves, or comes back, keeps it.
inline bool goes_unseen(std::string_view name) {
  return is_of_file(name) && !is_brought(name) && !name.starts_with("trusted.agentfs.");
}

}  // namespace agentfs
