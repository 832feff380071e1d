// SPDX-License-Identifier: MIT
#include "fs/fuse/inside/watched.h"

#include <dirent.h>
#include <endian.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <string_view>

namespace agentfs::fuse {
namespace {

using Directory = std::unique_ptr<DIR, decltype([](DIR* open) { ::closedir(open); })>;
using File = std::unique_ptr<FILE, decltype([](FILE* open) { std::fclose(open); })>;

// What follows a name in the line; null: it has none such.
const char* after(const char* line, const char* name) {
  const char* const found = std::strstr(line, name);
  return found == nullptr ? nullptr : found + std::strlen(name);
}

// Eight digits, of the bytes as they lie in this machine's memory.
std::uint32_t word_at(const char* digits) {
  std::uint32_t word = 0;
  std::from_chars(digits, digits + 8, word, 16);
  return htobe32(word);
}

// The number in a line of fdinfo; 0: it is of another device, or names no inode. The handle is
// FUSE's: the number's upper half, its lower one, a generation.
std::uint64_t node_in(const char* line, std::uint64_t device) {
  constexpr unsigned long kType = 0x81;
  constexpr std::size_t kDigits = 24;
  const char* const sdev = after(line, " sdev:");
  const char* const type = after(line, " fhandle-type:");
  const char* const handle = after(line, " f_handle:");
  if (sdev == nullptr || type == nullptr || handle == nullptr) return 0;
  const std::uint64_t shown = (device >> 32U) << 20U | (device & 0xfffffU);
  if (std::strtoull(sdev, nullptr, 16) != shown || std::strtoul(type, nullptr, 16) != kType) {
    return 0;
  }
  if (std::strspn(handle, "0123456789abcdef") != kDigits) return 0;
  return std::uint64_t{word_at(handle)} << 32U | word_at(handle + 8);
}

bool is_of_watches(int descriptors, const char* name) {
  std::array<char, 64> target{};
  const ssize_t length = ::readlinkat(descriptors, name, target.data(), target.size());
  if (length <= 0) return false;
  const std::string_view whole(target.data(), static_cast<std::size_t>(length));
  return whole == "anon_inode:inotify" || whole == "anon_inode:[fanotify]";
}

void add_watched(const std::string& path, std::uint64_t device, std::set<std::uint64_t>& nodes) {
  const File file(std::fopen(path.c_str(), "re"));
  if (file == nullptr) return;
  char* line = nullptr;
  std::size_t room = 0;
  while (::getline(&line, &room, file.get()) > 0) {
    const std::uint64_t node = node_in(line, device);
    if (node != 0) nodes.insert(node);
  }
  std::free(line);
}

void add_of_process(const std::string& process, std::uint64_t device,
                    std::set<std::uint64_t>& nodes) {
  const Directory descriptors(::opendir((process + "/fd").c_str()));
  if (descriptors == nullptr) return;
  while (const dirent* const entry = ::readdir(descriptors.get())) {
    if (!is_of_watches(::dirfd(descriptors.get()), entry->d_name)) continue;
    add_watched(process + "/fdinfo/" + entry->d_name, device, nodes);
  }
}

}  // namespace

std::vector<std::uint64_t> watched_nodes(std::uint64_t device) {
  std::set<std::uint64_t> nodes;
  const Directory processes(::opendir("/proc"));
  while (const dirent* const entry = processes ? ::readdir(processes.get()) : nullptr) {
    if (std::isdigit(static_cast<unsigned char>(*entry->d_name)) == 0) continue;
    add_of_process(std::string("/proc/") + entry->d_name, device, nodes);
  }
  return {nodes.begin(), nodes.end()};
}

}  // namespace agentfs::fuse
