// SPDX-License-Identifier: MIT
// The tables behind the numbers: nodes, handles, replies; many threads.
#include <atomic>
#include <thread>

#include "fs/vfs/line_buffer.h"
#include "fs/vfs/node_table.h"
#include "fs/vfs/reply_slots.h"
#include "test_tree.h"

namespace agentfs::vfs {

TEST_CASE("a node has its number until as many lookups are forgotten as were given") {
  TestTree tree;
  TestRequest cat(10);
  const NodeRef node = tree.get(cat, "/boxes").node;
  const std::uint64_t id = tree.channel->remember(node);
  CHECK(tree.channel->remember(node) == id);
  tree.channel->forget(id, 1);
  CHECK(*tree.channel->node(id) == node);
  tree.channel->forget(id, 1);
  CHECK(code(tree.channel->node(id)) == ESTALE);
  CHECK(tree.channel->remember(node) != id);
  CHECK(code(tree.channel->node(0)) == ESTALE);
  tree.channel->forget(Channel::kRoot, 100);
  CHECK(tree.channel->node(Channel::kRoot));
}

namespace {

struct Bare : Node {
  mode_t type() const override { return S_IFREG; }
  std::string path() const override { return "/bare"; }
  Result<Attributes> attributes(Request& /*request*/) override { return Attributes{}; }
};

// The host's kernel, which forgets what it is asked to, or knows no such thing.
struct Forgetful : Invalidator {
  void inode(std::uint64_t /*node_id*/) override {}
  void entry(std::uint64_t /*parent_id*/, const std::string& /*name*/) override {}
  void removed(std::uint64_t /*parent_id*/, std::uint64_t, const std::string&) override {}
  void expire(std::uint64_t /*parent_id*/, const std::string& /*name*/) override {}
  void announce(const std::vector<TreeEvent>& /*changes*/) override {}
  bool prune(const std::vector<std::uint64_t>& ids) override {
    for (const std::uint64_t id : ids) {
      if (knows) channel->forget(id, 1);
    }
    ++asked;
    return knows;
  }
  Channel* channel = nullptr;
  bool knows = true;
  std::atomic<int> asked = 0;
};

std::size_t most_known(TestTree& tree, int looks) {
  std::size_t most = 0;
  for (int i = 0; i < looks; ++i) {
    tree.channel->remember(std::make_shared<Bare>());
    most = std::max(most, tree.channel->known());
  }
  return most;
}

}  // namespace

TEST_CASE("a look waits for the host's kernel to forget, however late that is asked for") {
  TestTree tree;
  const auto kernel = std::make_shared<Forgetful>();
  kernel->channel = tree.channel.get();
  tree.channel->set_invalidator(kernel);
  std::jthread asking;
  tree.channel->limit_nodes(10, [&] {
    asking = std::jthread([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      tree.channel->prune();
    });
  });
  CHECK(most_known(tree, 100) <= 21);
  asking = {};
  tree.channel->set_invalidator(nullptr);
}

TEST_CASE("a kernel that cannot be asked to forget is asked once, and nobody waits for it") {
  TestTree tree;
  const auto kernel = std::make_shared<Forgetful>();
  kernel->channel = tree.channel.get();
  kernel->knows = false;
  tree.channel->set_invalidator(kernel);
  tree.channel->limit_nodes(10, [&] { tree.channel->prune(); });
  CHECK(most_known(tree, 100) == 101);
  CHECK(kernel->asked == 1);
  tree.channel->set_invalidator(nullptr);
}

TEST_CASE("a version is freed when the host forgets it") {
  TestTree tree;
  TestRequest cat(10);
  std::weak_ptr<Node> version;
  std::uint64_t id = 0;
  {
    const Found found = tree.get(cat, "/boxes/7/state");
    version = found.node;
    id = tree.channel->remember(found.node);
    tree.open(cat, "/boxes/7/state", O_RDONLY);  // takes the pin away
  }
  CHECK_FALSE(version.expired());
  tree.channel->forget(id, 1);
  CHECK(version.expired());
}

TEST_CASE("a handle's number is not used again") {
  HandleTable table;
  const std::uint64_t number = table.keep(std::make_shared<Handle>(), {7, 70});
  CHECK(table.find(number));
  CHECK((table.size_of_process(70) == 1 && table.size_of_process(0) == 0));
  CHECK(table.drop(number));
  CHECK_FALSE(table.drop(number));
  CHECK((table.size(7) == 0 && table.size_of_process(70) == 0));
  CHECK(table.keep(std::make_shared<Handle>(), {8, 0}) != number);
  CHECK(table.size_of_process(0) == 0);
  CHECK((table.size() == 1 && table.size(7) == 0 && table.size(8) == 1));
  CHECK_FALSE(table.find(number));
  CHECK_FALSE(table.find(0));
}

TEST_CASE("replies are bounded, the oldest go first") {
  ReplySlots slots;
  for (int i = 0; i < 2000; ++i) slots.put(fmt::format("{}", i), "x");
  CHECK_FALSE(slots.find("0"));
  CHECK(slots.find("1999"));
  CHECK(slots.bytes() == ReplySlots::kSlots);
  const std::string large(20U << 20U, 'x');
  for (int i = 0; i < 10; ++i) slots.put(fmt::format("large {}", i), large);
  CHECK(slots.bytes() <= ReplySlots::kBytes);
  slots.put("1999", std::string(ReplySlots::kBytes + 1, 'x'));
  CHECK_FALSE(slots.find("1999"));
}

TEST_CASE("lines are whole whatever the pieces") {
  const std::string words = "one\ntwo\n\nthree";
  for (std::size_t cut = 0; cut <= words.size(); ++cut) {
    LineBuffer buffer(true);
    std::vector<std::string> lines;
    std::size_t at = 0;
    for (const std::string_view piece :
         {std::string_view(words).substr(0, cut), std::string_view(words).substr(cut)}) {
      const auto added = *buffer.add(static_cast<off_t>(at), piece);
      lines.insert(lines.end(), added.begin(), added.end());
      buffer.accept(static_cast<off_t>(at), piece.size());
      at += piece.size();
    }
    CHECK(lines == std::vector<std::string>{"one", "two", ""});
    CHECK(buffer.take_rest() == "three");
  }
  LineBuffer buffer(false);
  CHECK(buffer.add(0, std::string(LineBuffer::kLongest, 'x')));
  CHECK(code(buffer.add(0, "x")) == EMSGSIZE);
  CHECK(buffer.empty());
}

namespace {

constexpr const char* kLevel = "/boxes/7/level";

// False: it was not found, or said something else than it should.
bool writes_or_reads(TestTree& tree, TestRequest& request, int round) {
  const bool writes = round % 3 == 0;
  Result<Found> level = fail(ENOENT, "not looked up");
  const auto open = [&]() -> Result<Opened> {
    level = tree.find(request, kLevel);
    return TRY(level).node->open(request, writes ? O_WRONLY | O_TRUNC : O_RDONLY);
  };
  auto opened = open();
  if (code(opened) == ESTALE) opened = open();  // as the host's kernel does, once
  if (!opened) return false;
  const std::uint64_t id = tree.channel->remember(level->node);
  const std::uint64_t number = tree.channel->keep(opened->handle, {7, 0});
  std::atomic<bool> right = true;
  if (writes) {
    opened->handle->write(
        request, 0, fmt::format("{}\n", round),
        Completion<std::size_t>([&](Result<std::size_t> count) { right = count.has_value(); }));
  } else {
    const auto text = TestTree::read(request, *tree.channel->handle(number), 0);
    right = text && static_cast<off_t>(text->size()) == level->attributes.st_size;
  }
  tree.channel->drop(number)->release();
  tree.files.changed(kLevel);
  tree.channel->forget(id, 1);
  return right;
}

}  // namespace

TEST_CASE("many threads look up, open, read, write and forget") {
  TestTree tree;
  std::atomic<int> wrong = 0;
  const auto work = [&](pid_t pid) {
    TestRequest request(pid, fmt::format("s{}", pid % 3));
    for (int i = 0; i < 300; ++i) {
      if (!writes_or_reads(tree, request, i)) ++wrong;
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int t = 0; t < 8; ++t) threads.emplace_back(work, 100 + t);
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("a hundred thousand nodes are cheap") {
  TestTree tree;
  TestRequest find(10);
  for (int i = 0; i < 100'000; ++i) {
    const auto name = fmt::format("b{}", i);
    world().boxes[name] = nullptr;
  }
  const auto box = world().box();
  for (auto& [name, each] : world().boxes) each = box;
  const Found boxes = tree.get(find, "/boxes");
  std::vector<std::uint64_t> ids;
  ids.reserve(world().boxes.size());
  for (int i = 0; i < 100'000; ++i) {
    const auto found = boxes.node->lookup(find, fmt::format("b{}", i));
    REQUIRE(found);
    ids.push_back(tree.channel->remember(found->node));
  }
  CHECK(tree.channel->node(ids.back()));
  for (const std::uint64_t id : ids) tree.channel->forget(id, 1);
  CHECK(code(tree.channel->node(ids.front())) == ESTALE);
}

}  // namespace agentfs::vfs
