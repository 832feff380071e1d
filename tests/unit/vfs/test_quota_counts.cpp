// SPDX-License-Identifier: MIT
// What is counted is what a walk of the disk finds, whoever changes what meanwhile.
#include <random>
#include <thread>

#include "fs/vfs/quota_ledger.h"
#include "quota_disk.h"

namespace agentfs::vfs {
namespace {

// Random changes of both workspaces by one thread, with files held open.
class Changer {
 public:
  Changer(QuotaDisk& disk, unsigned seed) : disk_(disk), random_(seed) {}
  ~Changer() {
    while (!open_.empty()) close();
  }
  void change() {
    using Change = void (Changer::*)();
    static constexpr Change kChanges[] = {
        &Changer::write,    &Changer::write, &Changer::write,  &Changer::truncate, &Changer::punch,
        &Changer::make,     &Changer::make,  &Changer::unlink, &Changer::rename,   &Changer::rename,
        &Changer::exchange, &Changer::link,  &Changer::mark,   &Changer::close,    &Changer::copy};
    (this->*kChanges[pick(std::size(kChanges))])();
  }

 private:
  std::size_t pick(std::size_t count) { return random_() % count; }
  NodeRef directory() {
    const std::string tree = pick(2) == 0 ? "a" : "b";
    const NodeRef below = disk_.at(fmt::format("{}/{}", tree, name()));
    return below != nullptr && below->type() == S_IFDIR ? below : disk_.at(tree);
  }
  std::string name() { return fmt::format("n{}", pick(8)); }
  NodeRef any() {
    const auto found = directory()->lookup(request_, name());
    return found ? found->node : nullptr;
  }

  void write() {
    auto made = directory()->create(request_, name(), O_RDWR | O_CREAT, 0644);
    if (!made) return;
    open_.push_back(made->opened.handle);
    disk_.write(*open_.back(), static_cast<off_t>(pick(6) * kBlock), 1 + pick(2 * kBlock));
    if (open_.size() > 4) close();
  }
  void truncate() {
    const NodeRef node = any();
    if (node == nullptr || node->type() != S_IFREG) return;
    SetAttributes wanted{.which = SetAttributes::size};
    wanted.values.st_size = static_cast<off_t>(pick(6) * kBlock);
    (void)node->set_attributes(request_, nullptr, wanted);
  }
  void punch() {
    if (open_.empty()) return;
    const int mode = pick(2) == 0 ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE : 0;
    (void)open_.back()->allocate(request_, mode, static_cast<off_t>(pick(6) * kBlock), kBlock);
  }
  void copy() {
    if (open_.size() < 2) return;
    (void)open_.front()->copy_range(request_, 0, *open_.back(), 0, 2 * kBlock);
  }
  void make() {
    switch (pick(4)) {
      case 0:
        (void)directory()->make_link(request_, name(), std::string(1 + pick(200), 't'));
        break;
      case 1:
        (void)directory()->make_node(request_, name(), S_IFIFO | 0600, 0);
        break;
      default:
        (void)directory()->make_directory(request_, name(), 0755);
    }
  }
  void unlink() {
    const NodeRef parent = directory();
    const std::string victim = name();
    if (!parent->unlink(request_, victim)) (void)parent->remove_directory(request_, victim);
  }
  void rename() {
    const NodeRef target = directory();
    (void)directory()->rename(request_, name(), *target, name(), 0);
  }
  void exchange() {
    const NodeRef target = directory();
    (void)directory()->rename(request_, name(), *target, name(), RENAME_EXCHANGE);
  }
  void link() {
    const NodeRef node = any();
    if (node != nullptr && node->type() == S_IFREG)
      (void)directory()->link(request_, *node, name());
  }
  void mark() {
    const NodeRef node = any();
    if (node != nullptr) (void)node->set_xattr(request_, "user.m", std::string(pick(900), 'v'), 0);
  }
  void close() {
    if (open_.empty()) return;
    open_.front()->release();
    open_.erase(open_.begin());
  }

  QuotaDisk& disk_;
  std::mt19937 random_;
  TestRequest request_{10};
  std::vector<std::shared_ptr<Handle>> open_;
};

}  // namespace

TEST_CASE("after random changes the counters are what a walk finds") {
  const unsigned seed = GENERATE(1U, 2U, 3U, 4U, 5U, 6U);
  CAPTURE(seed);
  QuotaDisk disk(memory());
  std::mt19937 random(seed);
  for (int round = 0; round < 6; ++round) {
    {
      Changer changer(disk, static_cast<unsigned>(random()));
      for (int i = 0; i < 150; ++i) {
        if (i == 70) disk.limit("/work/a", kLarge);
        changer.change();
        if (i == 110) disk.limit("/work/b", round % 2 == 0 ? kLarge : Quota{});
        if (i % 50 == 20) disk.files->recount("/work/a", false);
      }
    }
    CHECK(disk.held("/work/a") == disk.walk("a"));
    CHECK(disk.held("/work/b") == disk.walk("b"));
  }
}

TEST_CASE("the counters are exact whoever changes what while the trees are walked") {
  QuotaDisk disk(memory());
  disk.limit("/work/a", kLarge);
  {
    std::vector<std::thread> threads;
    for (unsigned seed = 1; seed <= 4; ++seed) {
      threads.emplace_back([&disk, seed] {
        Changer changer(disk, seed);
        for (int i = 0; i < 800; ++i) changer.change();
      });
    }
    for (int i = 0; i < 40; ++i) {
      disk.limit("/work/b", i % 2 == 0 ? kLarge : Quota{});
      disk.files->recount("/work/a", false);
      (void)disk.held("/work/a");
    }
    for (std::thread& thread : threads) thread.join();
  }
  disk.limit("/work/b", kLarge);
  CHECK(disk.held("/work/a") == disk.walk("a"));
  CHECK(disk.held("/work/b") == disk.walk("b"));
}

TEST_CASE("two writers at once use all of a limit and no more") {
  QuotaDisk disk;
  const Quota limit{.bytes = disk.walk("a").bytes + 100 * kBlock, .inodes = 0};
  disk.limit("/work/a", limit);
  (void)disk.held("/work/a");
  std::vector<std::thread> threads;
  for (const char* name : {"f", "g"}) {
    threads.emplace_back([&disk, file = disk.create("a", name)] {
      off_t at = 0;
      while (disk.write(*file, at, kBlock) == 0) at += kBlock;
      file->release();
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(disk.walk("a").bytes == limit.bytes);
  CHECK(disk.held("/work/a") == disk.walk("a"));
}

TEST_CASE("a ledger takes the look that began last for the truth") {
  QuotaLedger ledger;
  const FileKey file{&ledger, 7};
  (void)ledger.set_limits({{"/work/a", kLarge}}, 1, {});
  const auto first = ledger.begin_look(file);
  const auto second = ledger.begin_look(file);
  ledger.end_look(second, {.bytes = 20, .uid = 0, .tree = "/work/a"}, false);
  ledger.end_look(first, {.bytes = 10, .uid = 0, .tree = "/work/a"}, false);
  CHECK(ledger.state("/work/a")->held.bytes == 20);
  const auto late = ledger.begin_look(file);
  const auto gone = ledger.begin_look(file);
  ledger.end_look(gone, {}, true, std::atomic<int>(0));
  ledger.end_look(late, {.bytes = 30, .uid = 0, .tree = "/work/a"}, false);
  CHECK(ledger.state("/work/a")->held.inodes == 0);
}

}  // namespace agentfs::vfs
