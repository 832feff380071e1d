// SPDX-License-Identifier: MIT
// /sys/users: what each user holds, and may.
#include "fs/tree/users.h"

#include "kernel/quota_keeper.h"

namespace agentfs::tree {
namespace {

using vfs::files;

struct User {
  Kernel* kernel = nullptr;
  uid_t uid = 0;
};

Result<std::shared_ptr<const User>> find_user(const Caller& caller, const vfs::Key& key) {
  return std::make_shared<const User>(
      User{caller.kernel, TRY(QuotaKeeper(*caller.kernel).find_user(key.at(0)))});
}

Result<std::vector<std::string>> list_users(const Kernel&, const Caller& caller) {
  std::vector<std::string> names;
  for (const uid_t uid : QuotaKeeper(*caller.kernel).users()) names.push_back(std::to_string(uid));
  return names;
}

Result<std::string> show_limits(const User& user, const Caller&) {
  return show(QuotaKeeper(*user.kernel).of(user_subject(user.uid)));
}

Status set_limits(const User& user, const Caller& caller, std::string_view text) {
  return QuotaKeeper(*user.kernel).set_user(caller, user.uid, text);
}

Result<std::string> show_usage(const User& user, const Caller&) {
  return QuotaKeeper(*user.kernel).usage(user_subject(user.uid));
}

constexpr auto kUserFiles = files<User>({
    {.name = "limits",
     .mode = 0644,
     .doc = "What the user may hold: bytes=10G inodes=100000 (K to P: powers of 1,024), unlimited "
            "for none. Beyond: EDQUOT.",
     .read = show_limits,
     .write = set_limits},
    {.name = "usage",
     .mode = 0444,
     .doc = "What the user's files in /home, /workspaces, /src/repos and /tmp hold, beside the "
            "limits.",
     .read = show_usage},
});

const vfs::Directory<User> kUserDirectory("<user>", "One user of the host, by number or name.",
                                          find_user, kUserFiles);

constexpr auto kFiles = files<Kernel>({
    {.name = "<user>",
     .mode = 0555,
     .doc = "One user of the host, by number or name.",
     .directory = &kUserDirectory,
     .list = list_users},
});

}  // namespace

const vfs::Directory<Kernel> kUsersDirectory(
    "", "What each user holds in /home, /workspaces, /src/repos and /tmp together.", find_kernel,
    kFiles);

}  // namespace agentfs::tree
