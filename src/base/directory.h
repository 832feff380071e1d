// SPDX-License-Identifier: MIT
// What directories and symbolic links of the host say.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace agentfs {

struct HostEntry {
  std::string name;
  ino_t inode = 0;
  mode_t type = 0;  // of S_IFMT; 0 where the entry went while it was looked at
};

// All entries but "." and "..", in the disk's order. `directory` may be an O_PATH descriptor, and
// its position stays. An error names the directory as `told_as`, or by its path on the host.
Result<std::vector<HostEntry>> list_directory(int directory, std::string_view told_as = {});

Result<std::vector<HostEntry>> list_directory(const std::string& path);
// The same; nothing in it where it is not there.
Result<std::vector<HostEntry>> list_if_there(const std::string& path);
// The same; none where it cannot be listed.
std::vector<HostEntry> entries_in(const std::string& path);

// The names of those that are directories.
std::vector<std::string> directories_in(const std::vector<HostEntry>& entries);

// A directory and all below it, each before what is in it, however deep: with neither a frame of
// the stack nor a descriptor for each level. `visit` has it open (O_PATH), or -1 where that failed,
// for which errno says why; its path below the first, "" for that one itself; and how deep it lies.
// It answers the names of those in it to be visited.
using VisitDirectory = std::function<std::vector<std::string>(
    int directory, const std::string& path, std::size_t depth)>;
void walk_directories(int top, const VisitDirectory& visit);
// Each regular file in it and below: the directory that it is in (O_PATH), its name there, and its
// path below the first. What cannot be listed is left out.
using VisitFile =
    std::function<void(int directory, const std::string& name, const std::string& path)>;
void walk_files(int top, const VisitFile& visit);

// Where a file or directory is that was opened; "" where that is not known.
std::string descriptor_path(int descriptor);

// Where the link leads to that `name` in `directory` is, or, for "", `directory` itself, opened
// with O_PATH. Nothing where it is none; errno tells why.
std::optional<std::string> link_target(int directory, const std::string& name);

}  // namespace agentfs
