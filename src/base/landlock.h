// SPDX-License-Identifier: MIT
// Landlock: what a process and its children may touch, by path. Links nothing but the C library,
// so that programs outside the rooms may use it.
#pragma once

#include <cstdint>

namespace agentfs::landlock {

// Rights to files, as the kernel numbers them.
inline constexpr std::uint64_t kExecute = 1u << 0;
inline constexpr std::uint64_t kWriteFile = 1u << 1;
inline constexpr std::uint64_t kReadFile = 1u << 2;
inline constexpr std::uint64_t kReadDirectory = 1u << 3;
inline constexpr std::uint64_t kRemoveDirectory = 1u << 4;
inline constexpr std::uint64_t kRemoveFile = 1u << 5;
inline constexpr std::uint64_t kMakeCharacterDevice = 1u << 6;
inline constexpr std::uint64_t kMakeDirectory = 1u << 7;
inline constexpr std::uint64_t kMakeFile = 1u << 8;
inline constexpr std::uint64_t kMakeSocket = 1u << 9;
inline constexpr std::uint64_t kMakeFifo = 1u << 10;
inline constexpr std::uint64_t kMakeBlockDevice = 1u << 11;
inline constexpr std::uint64_t kMakeSymlink = 1u << 12;
inline constexpr std::uint64_t kRefer = 1u << 13;          // version 2
inline constexpr std::uint64_t kTruncate = 1u << 14;       // version 3
inline constexpr std::uint64_t kDeviceControl = 1u << 15;  // version 5

inline constexpr std::uint64_t kReads = kReadFile | kReadDirectory;
inline constexpr std::uint64_t kTreeWrites = kWriteFile | kRemoveDirectory | kRemoveFile |
                                             kMakeDirectory | kMakeFile | kMakeSocket | kMakeFifo |
                                             kMakeSymlink | kRefer | kTruncate;
inline constexpr std::uint64_t kDeviceWrites = kWriteFile | kTruncate | kDeviceControl;
inline constexpr std::uint64_t kMakeDevices = kMakeCharacterDevice | kMakeBlockDevice;

// What is refused to the process but for what a rule allows.
struct Handled {
  std::uint64_t files = 0;
  bool tcp = false;  // from version 4: binding and connecting
  // From version 6, always: signals and abstract sockets to processes outside.
};

// The version of the kernel's interface; 0 where it has none.
int version();

// A set of rules in the making. Threads: one. Each function gives 0, or the errno.
class Rules {
 public:
  Rules() = default;
  ~Rules();
  Rules(const Rules&) = delete;
  Rules& operator=(const Rules&) = delete;

  // Rights that this kernel does not know are left alone. ENOSYS, EOPNOTSUPP without Landlock.
  int make(const Handled& handled);
  // `files` at and below the path. ENOENT where there is none; EINVAL where `is_link_refused` and
  // its last name is a link.
  int allow(const char* path, std::uint64_t files, bool is_link_refused = false);
  // This thread, from now on; also gives up what a set-user-id program would gain.
  int enforce();

 private:
  int fd_ = -1;
  std::uint64_t files_ = 0;
};

}  // namespace agentfs::landlock
