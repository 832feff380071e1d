// SPDX-License-Identifier: MIT
// What the daemon tells agentfs-announce: a packet a change, answered by one when it has been done.
// Both are of one build; it stands alone.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace agentfs::fuse {

// An extended attribute that only the daemon of the mount has, for its helper alone: the secret
// that it tells with each change. What has the mount's place by then has it not.
inline constexpr const char* kSecretName = "user.agentfs.announced";
using AnnouncementSecret = std::array<char, 16>;

struct Announcement {
  static constexpr std::size_t kLongest = 4095;  // of a path
  AnnouncementSecret secret{};
  char kind = 0;  // TreeEvent::Kind
  mode_t type = 0;
  // Below the mountpoint: "workspaces/site/a"; ended by NUL. To walk there may be more of them,
  // each with its slash.
  char path[kLongest + 1] = {};
  std::size_t length = 0;  // is not sent

  // False for a path that no system call would take. `name` begins with a slash.
  bool fill(char change, mode_t file_type, std::string_view name) {
    if (name.size() < 2 || name.size() - 1 > kLongest) return false;
    kind = change;
    type = file_type;
    std::memcpy(path, name.data() + 1, name.size() - 1);
    length = name.size() - 1;
    path[length] = '\0';
    return true;
  }
  std::size_t size() const { return offsetof(Announcement, path) + length + 1; }
  // What was received: how many bytes.
  void set_size(std::size_t bytes) {
    const std::size_t head = offsetof(Announcement, path);
    length = bytes > head && bytes - head <= kLongest + 1 ? bytes - head - 1 : 0;
    path[length] = '\0';
  }
};

// That it is done. Where a tree was replaced: the session's numbers of what is watched in it, and
// elsewhere, by as many packets as that takes.
struct AnnouncementAnswer {
  static constexpr std::size_t kMost = 4096;
  std::uint32_t count = 0;
  std::uint32_t left = 0;                  // in packets that follow
  std::array<std::uint64_t, kMost> nodes;  // so many of them as count says
  std::size_t size() const {
    return offsetof(AnnouncementAnswer, nodes) + count * sizeof(std::uint64_t);
  }
};

}  // namespace agentfs::fuse
