// SPDX-License-Identifier: MIT
#include "base/users.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>

#include <array>
#include <cstdlib>

#include "base/file.h"
#include "base/proc_status.h"
#include "base/text.h"

namespace agentfs {
namespace {

template <class Key>
std::optional<HostUser> find_by(int (*look_up)(Key, passwd*, char*, std::size_t, passwd**),
                                Key key) {
  std::array<char, 16'384> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  if (look_up(key, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
    return std::nullopt;
  }
  return HostUser{found->pw_name, found->pw_uid, found->pw_gid, found->pw_dir};
}

}  // namespace

std::optional<HostUser> find_user(uid_t uid) { return find_by(::getpwuid_r, uid); }

std::optional<HostUser> find_user(const std::string& name) {
  return find_by(::getpwnam_r, name.c_str());
}

std::vector<gid_t> login_groups(const HostUser& user, gid_t gid) {
  int count = 64;
  std::vector<gid_t> groups(static_cast<std::size_t>(count));
  if (::getgrouplist(user.name.c_str(), gid, groups.data(), &count) < 0) {
    groups.resize(static_cast<std::size_t>(count));
    if (::getgrouplist(user.name.c_str(), gid, groups.data(), &count) < 0) count = 0;
  }
  groups.resize(static_cast<std::size_t>(count));
  return groups;
}

std::vector<gid_t> groups_of_process(pid_t pid) {
  std::vector<gid_t> groups;
  const auto status = file::read(fmt::format("/proc/{}/status", pid));
  if (!status) return groups;
  for (const std::string_view word : text::words(status_field(*status, "Groups"))) {
    if (const auto group = text::number<gid_t>(word)) groups.push_back(*group);
  }
  return groups;
}

std::uint64_t capabilities_of_process(pid_t pid, uid_t uid) {
  const std::string process = fmt::format("/proc/{}/", pid);
  struct stat theirs{};
  struct stat ours{};
  const bool is_ours = ::stat((process + "ns/user").c_str(), &theirs) == 0 &&
                       ::stat("/proc/thread-self/ns/user", &ours) == 0 &&
                       theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev;
  if (!is_ours) return 0;
  const auto status = file::read(process + "status");
  if (!status) return 0;
  const auto uids = text::words(status_field(*status, "Uid"));  // the last: of the file system
  if (uids.size() != 4 || text::number<uid_t>(uids.back()) != uid) return 0;
  const std::string digits(status_field(*status, "CapEff"));
  return std::strtoull(digits.c_str(), nullptr, 16);
}

}  // namespace agentfs
