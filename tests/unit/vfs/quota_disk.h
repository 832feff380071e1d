// SPDX-License-Identifier: MIT
// Two workspaces on the disk, with limits, and what the disk itself says of them.
#pragma once

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "backends/forest.h"
#include "base/text.h"
#include "support/temporary.h"
#include "test_tree.h"

namespace agentfs::vfs {

inline constexpr std::uint64_t kBlock = 4096;
inline constexpr Quota kLarge{.bytes = std::uint64_t{1} << 40U, .inodes = 1'000'000};

struct LimitedServices final : FakeServices {
  Quotas quotas() override {
    const std::lock_guard lock(limits_mutex);
    return limits;
  }
  void set(const std::string& subject, const Quota& quota) {
    const std::lock_guard lock(limits_mutex);
    limits.erase(subject);
    if (quota.is_set()) limits[subject] = quota;
  }
  std::mutex limits_mutex;
  Quotas limits;
};

// In memory where that can be: a disk gives blocks to a file when it writes back, later.
inline std::string memory() { return ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"; }

// Two workspaces, a and b, below /work.
struct QuotaDisk {
  explicit QuotaDisk(const std::string& where = "/tmp") : directory(where) {
    FileSystemParts parts;
    parts.services = &services;
    parts.root = &test_root();
    parts.trees = {{"/work", forest.get()}};
    files = std::make_unique<FileSystem>(std::move(parts));
    for (const char* name : {"a", "b"}) {
      REQUIRE(at("")->make_directory(request, name, 0755));
    }
  }
  void limit(const std::string& subject, const Quota& quota) {
    services.set(subject, quota);
    files->quotas_changed();
  }
  Holding held(const std::string& subject) const { return *files->holding(subject); }

  std::string made(const std::string& below) const {
    std::filesystem::create_directories(directory.path(below));
    return directory.path(below);
  }
  NodeRef at(const std::string& path) {
    NodeRef node = (*files->root()->lookup(request, "work")).node;
    for (const std::string_view part : text::split(path, '/')) {
      if (part.empty()) continue;
      auto found = node->lookup(request, std::string(part));
      if (!found) return nullptr;
      node = found->node;
    }
    return node;
  }
  std::shared_ptr<Handle> create(const std::string& directory, const std::string& name) {
    return at(directory)->create(request, name, O_RDWR | O_CREAT, 0644)->opened.handle;
  }
  // 0, or why not.
  int write(Handle& handle, off_t offset, std::size_t count) {
    return TestTree::write(request, handle, offset, std::string(count, 'x'));
  }

  // What the disk itself says, each inode once.
  Holding walk(const std::string& name) const {
    Holding sum;
    std::set<ino_t> seen;
    const auto see = [&](const std::string& path) {
      struct stat status{};
      if (::lstat(path.c_str(), &status) != 0 || !seen.insert(status.st_ino).second) return;
      sum.bytes += static_cast<std::uint64_t>(status.st_blocks) * 512;
      ++sum.inodes;
    };
    const std::string top = directory.path("trees/" + name);
    see(top);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(top)) see(entry.path());
    return sum;
  }

  test::TemporaryDirectory directory;
  LimitedServices services;
  TestRequest request{10};
  std::unique_ptr<Forest> forest = *open_forest(made("trees"), made("hidden"));
  std::unique_ptr<FileSystem> files;
};

}  // namespace agentfs::vfs
