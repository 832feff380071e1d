// SPDX-License-Identifier: MIT
// Who packs a repository, by the file that git leaves there meanwhile.
#include "kernel/git_upkeep.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <array>

#include "../trees/tree_fixture.h"
#include "catch.h"
#include "support/must.h"
#include "support/test_kernel.h"

namespace agentfs::test {
namespace {

// This process is called so as long as it lives.
class Name {
 public:
  explicit Name(const char* name) {
    ::prctl(PR_GET_NAME, before_.data());
    ::prctl(PR_SET_NAME, name);
  }
  ~Name() { ::prctl(PR_SET_NAME, before_.data()); }
  Name(const Name&) = delete;
  Name& operator=(const Name&) = delete;

 private:
  std::array<char, 16> before_{};
};

TEST_CASE("A repository is packed as long as a git of the number that its gc.pid has runs") {
  const TemporaryDirectory directory;
  const auto store = must(open_tree_store(directory.path()));
  const auto packing = [&] { return packing_process(*store, store->root()); };
  CHECK(packing() == std::nullopt);
  const auto git = make_directory(*store, *store->root(), ".git");
  CHECK(packing() == std::nullopt);
  const std::string host(GENERATE(std::size_t{1}, std::size_t{200}), 'h');
  make_file(*store, *git, "gc.pid", fmt::format("{} {}", ::getpid(), host));
  CHECK(packing() == std::nullopt);  // of another program, to which the number has come
  const Name name("git");
  CHECK(packing() == ::getpid());
}

}  // namespace
}  // namespace agentfs::test
