// SPDX-License-Identifier: MIT
// What fsck wants to know of a repository, and what it can mend of one of turns.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/findings.h"

namespace agentfs {

struct RepositoryReport {
  Findings found{};
  std::vector<std::string> lost_refs{};  // those whose commit, or its tree, cannot be read
  bool settings_are_damaged = false;     // HEAD or config
  std::size_t objects = 0;               // that were read
  std::uint64_t bytes = 0;               // of them
};
// Can what every ref names be read, and its tree? `every_object`: and has each object its hash?
// A directory that is no repository is an error, EBADMSG.
Result<RepositoryReport> check_repository(const std::string& path, bool every_object);

// The same for one that somebody else fills: before it is opened, its parts are looked at. EINVAL,
// EXDEV where one leads elsewhere: then it is not checked.
Result<RepositoryReport> check_users_repository(const std::string& path, bool every_object);

// Takes a ref out of the repository, and what its name and content were into the file `kept`, a
// line. Objects are left alone.
Status set_ref_aside(const std::string& path, const std::string& ref, const std::string& kept);

// HEAD and config, which are not there, as a new repository of turns has them.
Status make_settings(const std::string& path);

}  // namespace agentfs
