// SPDX-License-Identifier: MIT
// Limits of trees and users as text, and who may set them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/growth.h"
#include "kernel/caller.h"
#include "kernel/quota.h"

namespace agentfs {

class Kernel;
struct MergePlan;
struct MergeSides;

// "bytes 10737418240\ninodes unlimited\n".
std::string show(const Quota& quota);
// Pairs such as bytes=10G inodes = 100000, or as show() writes them; "unlimited" is no limit, and
// alone takes both away. What is left out is as in `others`. EINVAL with what would do.
Result<Quota> parse_quota(std::string_view text, const Quota& others);

// What ours would hold more after a merge, what it loses given back first. Holes are free, and
// what goes under some of its names alone goes on being held.
Growth growth_of(const MergePlan& plan, const MergeSides& sides);

// A part of its kernel, without a state of its own. Threads: all.
class QuotaKeeper {
 public:
  explicit QuotaKeeper(Kernel& kernel) : kernel_(kernel) {}

  Quota of(const std::string& subject) const;
  // `root`: the path of a workspace or home. Its owner, the mount's and root may (EACCES); an agent
  // may not (EPERM).
  Status set_tree(const Caller& caller, const std::string& root, std::string_view text);
  // The mount's owner and root may; everybody may look.
  Status set_user(const Caller& caller, uid_t uid, std::string_view text);
  // Those who have been here or have limits, ascending; one by name or number: ENOENT.
  std::vector<uid_t> users() const;
  Result<uid_t> find_user(const std::string& name) const;
  // "bytes\t4096\nbytes_limit\tunlimited\n…": what is held, beside the limits.
  Result<std::string> usage(const std::string& subject) const;

 private:
  Status may_set(const Caller& caller, std::string_view what) const;
  Status check_ruler(const Caller& caller, std::string_view what) const;
  Status set(const Caller& caller, const std::string& subject, std::string_view text);

  Kernel& kernel_;
};

}  // namespace agentfs
