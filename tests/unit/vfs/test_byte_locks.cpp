// SPDX-License-Identifier: MIT
// Each file's bytes have a lock of their own.
#include <sys/stat.h>

#include <thread>
#include <vector>

#include "catch.h"
#include "fs/vfs/byte_locks.h"

namespace agentfs::test {
namespace {

using vfs::ByteLocks;
using vfs::Changing;
using vfs::ChangingAlone;

class File final : public TreeNode {
 public:
  std::uint64_t device() const override { return 1; }
  std::uint64_t inode() const override { return 1; }
  mode_t type() const override { return S_IFREG; }
};

}  // namespace

TEST_CASE("who has one file's bytes for long holds nobody up at another's") {
  ByteLocks locks;
  const File held;
  const std::vector<File> others(1'000);
  ChangingAlone alone(locks, held);
  std::thread([&] {
    for (const File& file : others) const Changing together(locks, file);
  }).join();
  for (const File& file : others) {
    alone = {};
    alone = ChangingAlone(locks, file);
  }
}

TEST_CASE("a file's bytes are linked by one alone, and changed by many") {
  ByteLocks locks;
  const File file;
  int changes = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 1'000; ++n) {
        {
          const Changing together(locks, file);
        }
        const ChangingAlone alone(locks, file);
        ++changes;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(changes == 4'000);
}

}  // namespace agentfs::test
