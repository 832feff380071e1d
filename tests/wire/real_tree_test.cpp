// SPDX-License-Identifier: MIT
// The real tables over a kernel, asked as the host's kernel asks.
#include <fcntl.h>

#include <set>

#include "backends/forest.h"
#include "catch.h"
#include "fs/services/kernel_services.h"
#include "fs/tree/tree.h"
#include "fs/vfs/file_system.h"
#include "wire/served.h"

namespace agentfs::test {
namespace {

class RealTree {
 public:
  RealTree() : services_(base.kernel()) {
    vfs::FileSystemParts parts;
    for (const std::string path : {"/home", "/workspaces"}) {
      REQUIRE(file::make_directories(directory_.path() + path));
      REQUIRE(file::make_directories(directory_.path() + "/forest" + path));
      auto store = open_forest(directory_.path() + path, directory_.path() + "/forest" + path);
      REQUIRE(store);
      stores_.push_back(*std::move(store));
      parts.trees[path] = stores_.back().get();
    }
    parts.services = &services_;
    parts.root = &tree::root();
    files_ = std::make_unique<vfs::FileSystem>(std::move(parts));
    base.kernel().set_namespace(files_.get());
    session_ = std::make_unique<WireSession>(*files_, services_, 2);
    wire().caller.uid = 0;
    wire().caller.gid = 0;
    REQUIRE(wire().init());
  }
  ~RealTree() {
    session_.reset();
    base.kernel().set_namespace(nullptr);
  }
  RealTree(const RealTree&) = delete;
  RealTree& operator=(const RealTree&) = delete;

  WireKernel& wire() { return session_->wire(); }
  WireSession& session() { return *session_; }
  WireKernel::Place open(const std::string& path, int flags) {
    const auto entry = wire().walk(path);
    REQUIRE(code_of(entry) == 0);
    const auto opened = wire().open(entry->nodeid, flags);
    REQUIRE(code_of(opened) == 0);
    return {.node = entry->nodeid, .handle = opened->fh, .offset = 0, .flags = flags};
  }

  TestKernel base;

 private:
  TemporaryDirectory directory_;
  KernelServices services_;
  std::vector<std::unique_ptr<TreeStore>> stores_;
  std::unique_ptr<vfs::FileSystem> files_;
  std::unique_ptr<WireSession> session_;
};

// What a backup does with a name: everything that is listed can be read to its measured end.
void read_exactly(RealTree& tree, const std::string& path, const fuse_entry_out& entry) {
  CAPTURE(path);
  const auto opened = tree.wire().open(entry.nodeid, O_RDONLY);
  REQUIRE(code_of(opened) == 0);
  const WireKernel::Place place{.node = entry.nodeid, .handle = opened->fh};
  const auto text = tree.wire().read(place, 1U << 20U);
  REQUIRE(code_of(text) == 0);
  CHECK(text->size() == std::min<std::size_t>(entry.attr.size, 1U << 20U));
  CHECK(code_of(tree.wire().release(place)) == 0);
}

void visit(RealTree& tree, std::uint64_t node, const std::string& path,
           std::set<std::string>& seen) {
  const auto opened = tree.wire().open_directory(node);
  REQUIRE(code_of(opened) == 0);
  const auto items = tree.wire().list({.node = node, .handle = opened->fh}, 1U << 20U);
  REQUIRE(code_of(items) == 0);
  for (const WireDirent& item : *items) {
    if (item.name == "." || item.name == "..") continue;
    const std::string child = path + "/" + item.name;
    CAPTURE(child);
    const auto entry = tree.wire().lookup(node, item.name);
    REQUIRE(code_of(entry) == 0);
    CHECK(seen.insert(child).second);
    const mode_t type = entry->attr.mode & static_cast<mode_t>(S_IFMT);
    if (type == S_IFDIR) visit(tree, entry->nodeid, child, seen);
    if (type == S_IFREG) read_exactly(tree, child, *entry);
    if (type == S_IFLNK) CHECK(tree.wire().call(FUSE_READLINK, entry->nodeid, ""));
    tree.wire().forget(entry->nodeid, 1);
  }
  CHECK(tree.wire().release_directory({.node = node, .handle = opened->fh}));
}

}  // namespace

TEST_CASE("wire: the whole real tree can be walked and read, and nothing in it blocks") {
  RealTree tree;
  tree.base.spawn({.name = "worker"});
  std::set<std::string> seen;
  visit(tree, 1, "", seen);
  CHECK(seen.size() > 50);
  CHECK(seen.contains("/README"));
}

TEST_CASE("wire: waiting for a real process parks, and an interrupt ends it") {
  RealTree tree;
  const ProcessId pid = tree.base.spawn({.name = "worker", .task = "Go.\n"});
  const auto place = tree.open(fmt::format("/proc/{}/wait", pid.value), O_RDONLY);
  std::vector<std::uint64_t> numbers;
  for (int i = 0; i < 8; ++i) numbers.push_back(tree.wire().start_read(place, 4096));
  CHECK(tree.wire().attributes(1));
  for (std::size_t i = 0; i < 4; ++i) tree.wire().interrupt(numbers[i]);
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(code_of(tree.wire().await(numbers[i])) == EINTR);
  }
  tree.session().stop();
  for (std::size_t i = 4; i < 8; ++i) {
    const int code = code_of(tree.wire().await(numbers[i]));
    CHECK((code == EINTR || code == ECONNABORTED));
  }
}

TEST_CASE("wire: a command that fails tells its sentence in errors") {
  RealTree tree;
  const ProcessId pid = tree.base.spawn({.name = "worker"});
  const auto place = tree.open(fmt::format("/proc/{}/ctl", pid.value), O_WRONLY);
  CHECK(code_of(tree.wire().write(place, "no-such-verb\n")) == EINVAL);
  const auto self = tree.wire().walk("/proc/self");
  REQUIRE(self);
  const auto mine = tree.wire().call(FUSE_READLINK, self->nodeid, "");
  REQUIRE(mine);
  const auto errors = tree.open("/proc/" + *mine + "/errors", O_RDONLY);
  const auto text = tree.wire().read(errors, 1U << 20U);
  REQUIRE(text);
  CHECK_THAT(*text, Catch::Matchers::has("no-such-verb"));
}

TEST_CASE("wire: a listing looks up only what the host's kernel does not know or has used") {
  RealTree tree;
  const auto spaces = tree.wire().walk("/workspaces");
  REQUIRE(code_of(spaces) == 0);
  const auto site = tree.wire().make_directory(spaces->nodeid, "site", 0755);
  REQUIRE(code_of(site) == 0);
  for (const char* const name : {"made", "used", "asked"}) {
    const auto made = tree.wire().create(site->nodeid, name, O_RDWR | O_CREAT | O_EXCL, 0644);
    REQUIRE(code_of(made) == 0);
    REQUIRE(tree.wire().release({.node = made->first.nodeid, .handle = made->second.fh}));
  }
  REQUIRE(code_of(tree.wire().lookup(site->nodeid, "used")) == 0);
  REQUIRE(code_of(tree.wire().lookup(site->nodeid, "asked")) == 0);
  const auto used = tree.open("/workspaces/site/used", O_RDONLY);
  REQUIRE(tree.wire().release(used));
  const auto looked_up = [&] {
    std::set<std::string> names;
    const auto opened = tree.wire().open_directory(site->nodeid);
    REQUIRE(code_of(opened) == 0);
    const WireKernel::Place place{.node = site->nodeid, .handle = opened->fh};
    const auto items = tree.wire().list_plus(place);
    REQUIRE(code_of(items) == 0);
    for (const WireDirent& item : *items) {
      if (item.node != 0) names.insert(item.name);
    }
    return names;
  };
  CHECK(looked_up() == std::set<std::string>{"made", "used"});
  CHECK(looked_up().empty());
}

}  // namespace agentfs::test
