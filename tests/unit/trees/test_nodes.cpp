// SPDX-License-Identifier: MIT
// Which node stands for which file, and what keeping many of them costs.
#include <dirent.h>
#include <sys/resource.h>

#include <atomic>
#include <climits>
#include <thread>

#include "tree_fixture.h"

namespace agentfs::test {
namespace {

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count - 1;  // the listing's own
}

// The soft limit of open files, put back at the end.
class OpenFilesLimit {
 public:
  explicit OpenFilesLimit(rlim_t limit) {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
    rlimit lowered = before_;
    lowered.rlim_cur = limit;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &lowered) == 0);
  }
  ~OpenFilesLimit() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

// Whether this process can open by handle: a store then keeps no descriptor for a node.
bool has_handles(const std::string& directory) {
  const auto store = open_store(directory, {.descriptors = 1, .file_handles = true});
  std::vector<TreeNodeRef> nodes;
  const std::size_t before = open_descriptors();
  for (int i = 0; i < 3; ++i) {
    nodes.push_back(make_directory(*store, *store->root(), fmt::format("probe{}", i)));
  }
  return open_descriptors() <= before + 1;
}

TreeOptions options_of_kind(bool handles) { return {.descriptors = 2, .file_handles = handles}; }

}  // namespace

TEST_CASE("a file reached by two ways is one node", "[trees]") {
  const bool handles = GENERATE(true, false);
  SharedDirectory directory;
  const auto store = open_store(directory.path(), options_of_kind(handles));
  const TreeNodeRef root = store->root();

  const auto made = make_file(*store, *root, "a", "text");
  CHECK(must(store->lookup(*root, "a")).node == made);
  const auto linked = must(store->link(*made, *root, "b", kMyself));
  CHECK(linked.node == made);
  CHECK(linked.attributes.st_nlink == 2);
  CHECK(must(store->lookup(*root, "b")).node == made);
  CHECK(must(store->lookup(*root, ".")).node == root);
  CHECK(must(store->lookup(*root, "..")).node == root);
  const auto below = make_directory(*store, *root, "below");
  CHECK(must(store->lookup(*below, "..")).node == root);
  CHECK(must(store->lookup(*below, ".")).node == below);
}

TEST_CASE("a number that the disk uses again is another node", "[trees]") {
  const bool handles = GENERATE(true, false);
  SharedDirectory directory;
  const auto store = open_store(directory.path(), options_of_kind(handles));
  const TreeNodeRef root = store->root();
  std::vector<TreeNodeRef> removed;
  for (int i = 0; i < 50; ++i) {
    auto node = make_file(*store, *root, "same", std::to_string(i));
    for (const auto& earlier : removed) REQUIRE(earlier != node);
    // Behind the store's back, so that it cannot keep the file alive where it has handles.
    REQUIRE(::unlink(directory.path("same").c_str()) == 0);
    removed.push_back(std::move(node));
  }
  const auto last = make_file(*store, *root, "same", "last");
  for (const auto& node : removed) {
    const auto attributes = store->attributes(*node);
    if (attributes) CHECK(attributes->st_nlink == 0);
    if (!attributes) CHECK(attributes.error().code == ESTALE);
  }
  CHECK(read_file(*store, *last) == "last");
}

TEST_CASE("nodes keep at most the descriptors they are given", "[trees]") {
  SharedDirectory directory;
  if (!has_handles(directory.path())) return;
  const auto store = open_store(directory.path(), {.descriptors = 8});
  const TreeNodeRef root = store->root();
  const std::size_t before = open_descriptors();
  std::vector<TreeNodeRef> nodes;
  for (int i = 0; i < 200; ++i) {
    nodes.push_back(make_file(*store, *root, std::to_string(i), std::to_string(i)));
    REQUIRE(open_descriptors() <= before + 8);
  }
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    REQUIRE(read_file(*store, *nodes[i]) == std::to_string(i));
    REQUIRE(open_descriptors() <= before + 8);
  }
  nodes.clear();
  CHECK(open_descriptors() <= before + 1);
}

TEST_CASE("a store raises the limit of open files", "[trees]") {
  const OpenFilesLimit limit(100);
  SharedDirectory directory;
  const auto store = open_store(directory.path());
  rlimit now{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &now) == 0);
  CHECK(now.rlim_cur == now.rlim_max);
}

TEST_CASE("20,000 nodes are held under a low limit of open files", "[trees]") {
  constexpr int kFiles = 20'000;
  SharedDirectory directory;
  const bool handles = has_handles(directory.path());
  const auto store = open_store(directory.path());
  const TreeNodeRef root = store->root();
  const OpenFilesLimit limit(128);
  std::vector<TreeNodeRef> nodes;
  std::optional<Error> error;
  for (int i = 0; i < kFiles && !error; ++i) {
    auto made = store->make_node(*root, std::to_string(i), S_IFREG | 0644, 0, kMyself);
    if (made) nodes.push_back(made->node);
    if (!made) error = made.error();
  }
  if (!handles) {  // an ordinary user is told
    REQUIRE(error);
    CHECK(error->code == EMFILE);
    return;
  }
  REQUIRE(nodes.size() == kFiles);
  for (const TreeNodeRef& node : nodes) REQUIRE(store->attributes(*node).has_value());
  const auto opened = store->open(*nodes.front(), O_RDWR, kMyself);
  CHECK(opened.has_value());
}

TEST_CASE("a file without a name lives as long as its node", "[trees]") {
  const bool handles = GENERATE(true, false);
  SharedDirectory directory;
  const auto store = open_store(directory.path(), options_of_kind(handles));
  const TreeNodeRef root = store->root();
  const auto unlinked = make_file(*store, *root, "unlinked", "one");
  const auto replaced = make_file(*store, *root, "replaced", "two");
  const auto removed = make_directory(*store, *root, "removed");
  const auto kept = make_file(*store, *root, "kept", "three");
  must(store->link(*kept, *root, "kept too", kMyself));
  make_file(*store, *root, "new", "four");
  for (int i = 0; i < 5; ++i) make_file(*store, *root, fmt::format("other{}", i));

  must(store->unlink(*root, "unlinked", kMyself));
  must(store->unlink(*root, "kept", kMyself));
  must(store->remove_directory(*root, "removed", kMyself));
  must(store->rename(*root, "new", *root, "replaced", 0, kMyself));
  for (int i = 0; i < 5; ++i) must(store->lookup(*root, fmt::format("other{}", i)));

  CHECK(read_file(*store, *unlinked) == "one");
  CHECK(read_file(*store, *replaced) == "two");
  CHECK(read_file(*store, *kept) == "three");
  CHECK(must(store->attributes(*unlinked)).st_nlink == 0);
  CHECK(S_ISDIR(must(store->attributes(*removed)).st_mode));
  CHECK(code_of(store->make_directory(*removed, "x", 0755, kMyself)) == ENOENT);
  SetAttributes wanted;
  wanted.which = SetAttributes::mode | SetAttributes::size;
  wanted.values.st_mode = 0600;
  wanted.values.st_size = 1;
  CHECK(must(store->set_attributes(*unlinked, nullptr, wanted, kMyself)).st_size == 1);
}

TEST_CASE("nodes below a renamed directory stay good", "[trees]") {
  const bool handles = GENERATE(true, false);
  SharedDirectory directory;
  const auto store = open_store(directory.path(), options_of_kind(handles));
  const TreeNodeRef root = store->root();
  const auto top = make_directory(*store, *root, "top");
  const auto middle = make_directory(*store, *top, "middle");
  const auto leaf = make_file(*store, *middle, "leaf", "x");
  for (int i = 0; i < 5; ++i) make_directory(*store, *root, std::to_string(i));

  must(store->rename(*root, "top", *root, "moved", 0, kMyself));
  CHECK(read_file(*store, *leaf) == "x");
  CHECK(store->host_path(*middle) == directory.path("moved/middle"));
  CHECK(must(store->lookup(*middle, "..")).node == top);
  make_file(*store, *middle, "second", "y");
  CHECK(must(file::read(directory.path("moved/middle/second"))) == "y");
  CHECK(code_of(store->rename(*root, "moved", *middle, "in itself", 0, kMyself)) == EINVAL);
}

TEST_CASE("a directory that has left the tree leads nowhere up", "[trees]") {
  SharedDirectory directory;
  const std::string inside = directory.path("tree");
  REQUIRE(::mkdir(inside.c_str(), 0755) == 0);
  const auto store = open_store(inside);
  const auto moved = make_directory(*store, *store->root(), "moved");
  REQUIRE(::rename((inside + "/moved").c_str(), directory.path("outside").c_str()) == 0);
  CHECK(code_of(store->lookup(*moved, "..")) == ESTALE);
}

TEST_CASE("directories are followed deeper than a path can be long", "[trees]") {
  constexpr int kDepth = 200;
  const std::string name(60, 'd');
  SharedDirectory directory;
  const auto store = open_store(directory.path(), {.descriptors = 4});
  std::vector<TreeNodeRef> chain{store->root()};
  for (int i = 0; i < kDepth; ++i) chain.push_back(make_directory(*store, *chain.back(), name));
  const auto leaf = make_file(*store, *chain.back(), "leaf", "deep");
  CHECK(read_file(*store, *leaf) == "deep");
  for (int i = kDepth; i > 0; --i) {
    const auto at = static_cast<std::size_t>(i);
    REQUIRE(must(store->lookup(*chain[at], "..")).node == chain[at - 1]);
  }
  must(store->unlink(*chain.back(), "leaf", kMyself));
  for (int i = kDepth; i > 0; --i) {
    const auto above = static_cast<std::size_t>(i) - 1;
    must(store->remove_directory(*chain[above], name, kMyself));
  }
}

TEST_CASE("nodes of another store are on another device", "[trees]") {
  SharedDirectory one;
  SharedDirectory two;
  const auto first = open_store(one.path());
  const auto second = open_store(two.path());
  const auto node = make_file(*first, *first->root(), "a");
  CHECK(code_of(first->link(*node, *second->root(), "b", kMyself)) == EXDEV);
  CHECK(code_of(second->link(*node, *second->root(), "b", kMyself)) == EXDEV);
  CHECK(code_of(first->rename(*first->root(), "a", *second->root(), "b", 0, kMyself)) == EXDEV);
  CHECK(first->host_path(*node) == one.path("a"));
}

TEST_CASE("nodes may outlive their store", "[trees]") {
  SharedDirectory directory;
  auto store = open_store(directory.path());
  const auto node = make_file(*store, *store->root(), "a");
  store.reset();
  CHECK(node->type() == S_IFREG);
}

TEST_CASE("threads that look up, make and drop the same names agree", "[trees]") {
  const bool handles = GENERATE(true, false);
  constexpr int kThreads = 4;
  constexpr int kRounds = 400;
  SharedDirectory directory;
  const auto store = open_store(directory.path(), options_of_kind(handles));
  const TreeNodeRef root = store->root();
  for (int i = 0; i < 8; ++i) make_file(*store, *root, std::to_string(i), std::to_string(i));
  std::atomic<int> wrong = 0;
  const auto work = [&](int seed) {
    for (int round = 0; round < kRounds; ++round) {
      const std::string name = std::to_string((round * 7 + seed) % 8);
      const auto first = store->lookup(*root, name);
      const auto second = store->lookup(*root, name);
      const auto opened = first ? store->open(*first->node, O_RDONLY, kMyself) : nullptr;
      const bool same = first && second && opened && first->node == second->node;
      const auto bytes = same ? file::read((*opened)->descriptor()) : std::string();
      if (!same || !bytes || *bytes != name) ++wrong;
      const std::string own = fmt::format("{}-{}", seed, round);
      const auto made = store->create(*root, own, O_RDWR, 0644, kMyself);
      if (!made || !store->unlink(*root, own, kMyself)) ++wrong;
      if (made && !store->attributes(*made->entry.node)) ++wrong;
    }
  };
  std::vector<std::jthread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(work, i);
  threads.clear();
  CHECK(wrong == 0);
}

TEST_CASE("the last holder may leave while others look the file up", "[trees]") {
  const bool handles = GENERATE(true, false);
  constexpr int kThreads = 4;
  constexpr int kRounds = 20'000;
  SharedDirectory directory;
  const auto store = open_store(directory.path(), options_of_kind(handles));
  const TreeNodeRef root = store->root();
  make_file(*store, *root, "one");
  std::atomic<int> wrong = 0;
  const auto work = [&] {
    for (int round = 0; round < kRounds; ++round) {
      const auto found = store->lookup(*root, "one");
      if (!found || !store->attributes(*found->node)) ++wrong;
    }
  };
  std::vector<std::jthread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(work);
  threads.clear();
  CHECK(wrong == 0);
}

}  // namespace agentfs::test
