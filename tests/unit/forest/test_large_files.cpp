// SPDX-License-Identifier: MIT
// Files whose bytes are copied while everybody else goes on.
#include <fcntl.h>
#include <sys/xattr.h>

#include <array>
#include <atomic>
#include <future>
#include <thread>
#include <vector>

#include "backends/lender.h"
#include "forest_fixture.h"

namespace agentfs::test {
namespace {

constexpr std::size_t kLarge = 3'000'000;
constexpr int kWriters = 3;

using Stamps = std::array<std::int64_t, kWriters>;

Stamps stamps_in(Forest& forest, const TreeNode& file) {
  const auto open = must(forest.open(file, O_RDONLY, kMyself));
  Stamps found{};
  for (std::size_t i = 0; i < kWriters; ++i) {
    REQUIRE(::pread(open->descriptor(), &found[i], sizeof found[i],
                    static_cast<off_t>(i * 1'000'000)) == sizeof found[i]);
  }
  return found;
}

TEST_CASE("States of a large file hold all that was written before them, and nothing later") {
  constexpr int kRounds = 60;
  TestForest forest;
  forest.directory("p");
  const TreeNodeRef file = forest.file("p/f", std::string(kLarge, '\0'));
  std::array<std::atomic<std::int64_t>, kWriters> begun{};
  std::array<std::atomic<std::int64_t>, kWriters> written{};
  std::atomic<bool> done = false;
  std::atomic<int> wrong = 0;
  const auto write = [&](std::size_t which) {
    const auto open = must(forest->open(*file, O_RDWR, kMyself));
    for (std::int64_t stamp = 1; !done; ++stamp) {
      begun[which] = stamp;
      const std::string bytes(reinterpret_cast<const char*>(&stamp), sizeof stamp);
      if (forest.write(*open, bytes, static_cast<off_t>(which * 1'000'000)) != 0) ++wrong;
      written[which] = stamp;
    }
  };
  Stamps last{};
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < kWriters; ++i) threads.emplace_back(write, i);
    for (int round = 0; round < kRounds; ++round) {
      Stamps before{};
      Stamps after{};
      for (std::size_t i = 0; i < kWriters; ++i) before[i] = written[i];
      const auto state = forest->snapshot("p", "s");
      for (std::size_t i = 0; i < kWriters; ++i) after[i] = begun[i];
      if (!state) {
        ++wrong;
        continue;
      }
      const auto kept = must(forest->lookup(*must(forest->snapshot_root(*state)), "f")).node;
      const Stamps held = stamps_in(*forest, *kept);
      for (std::size_t i = 0; i < kWriters; ++i) {
        if (held[i] < before[i] || held[i] > after[i]) ++wrong;
      }
      if (stamps_in(*forest, *kept) != held) ++wrong;  // whatever is written by now
      if (!forest->drop(*state)) ++wrong;
    }
    done = true;
  }
  for (std::size_t i = 0; i < kWriters; ++i) last[i] = written[i];
  CHECK(wrong == 0);
  CHECK(stamps_in(*forest, *file) == last);
}

TEST_CASE("A large file of which there is a state is copied once, whoever writes to it") {
  TestForest forest;
  forest.directory("p");
  const TreeNodeRef file = forest.file("p/f", std::string(kLarge, 'f'));
  const SnapshotId state = must(forest->snapshot("p", "s"));
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&, i] {
        const auto open = must(forest->open(*file, O_RDWR, kMyself));
        CHECK(forest.write(*open, "x", i) == 0);
      });
    }
  }
  CHECK(forest->counts().unshared == 1);
  CHECK(forest->counts().copied <= kLarge);  // less where the disk shares blocks
  CHECK(forest->counts().ahead == 1);
  std::string written(kLarge, 'f');
  written.replace(0, 4, "xxxx");
  CHECK(forest.read("p/f") == written);
  const auto kept = must(forest->lookup(*must(forest->snapshot_root(state)), "f")).node;
  CHECK(read_file(*forest, *kept) == std::string(kLarge, 'f'));
}

TEST_CASE("A large file is copied before the forest is locked, whatever shares it") {
  TestForest forest;
  for (const char* path : {"p", "p/d"}) forest.directory(path);
  forest.file("p/d/f", std::string(kLarge, 'f'));
  forest.file("p/d/g", std::string(kLarge, 'g'));
  REQUIRE(forest->fork("p", "q"));
  forest.write("q/d/f", "of a fork that has nothing of its own");
  forest.write("p/d/g", "of its parent");
  SetAttributes mode{.which = SetAttributes::mode};
  mode.values.st_mode = 0600;
  REQUIRE(forest->set_attributes(*forest.at("q/d/g"), nullptr, mode, kMyself));
  CHECK(forest->counts().unshared == 3);
  CHECK(forest->counts().ahead == 3);
  forest.write("q/d/f", "once more");
  REQUIRE(forest->link(*forest.at("q/d/f"), *forest.at("q"), "name", kMyself));
  CHECK(forest->counts().unshared == 3);
  CHECK(forest.read("p/d/f") == std::string(kLarge, 'f'));
}

// Gives one file's bytes to all that are marked so, when it is allowed to.
class SlowLender final : public Lender {
 public:
  explicit SlowLender(std::string host) : host_(std::move(host)) {}
  static std::string path_of(int file) { return fmt::format("/proc/self/fd/{}", file); }
  static void mark(int file) { REQUIRE(::setxattr(path_of(file).c_str(), kMark, "1", 1, 0) == 0); }
  void let_go() { go_.set_value(); }
  void wait_until_asked() { wait(asked_.get_future()); }

  bool lends(int file) const override {
    char value = 0;
    return ::getxattr(path_of(file).c_str(), kMark, &value, 1) == 1;
  }
  bool is_astray() const override { return false; }
  std::optional<blkcnt_t> blocks(int) const override { return std::nullopt; }
  std::optional<bool> lends_one(int, int) const override { return std::nullopt; }
  Result<Lent> open(int) const override {
    Lent lent{.file = UniqueFd(::open(host_.c_str(), O_RDONLY | O_CLOEXEC))};
    REQUIRE(::fstat(lent.file.get(), &lent.attributes) == 0);
    return lent;
  }
  std::optional<Place> place(int) const override { return std::nullopt; }
  Status preserve(const Place&, bool) const override { return ok(); }
  Status fill(const Lent& from, int file) const override {
    if (++fills == 1) asked_.set_value();
    wait(may_go_);
    const std::string bytes = must(file::read(from.file.get()));
    REQUIRE(::pwrite(file, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
    return ok();
  }
  Status own(int file) const override {
    REQUIRE(::fremovexattr(file, kMark) == 0);
    return ok();
  }
  void release(int file) const override { ::removexattr(path_of(file).c_str(), kMark); }
  Status copy(int from, int to) const override {
    struct stat attributes{};
    REQUIRE(::fstat(from, &attributes) == 0);
    REQUIRE(::ftruncate(to, attributes.st_size) == 0);
    mark(to);
    return ok();
  }

  mutable std::atomic<int> fills = 0;

 private:
  static constexpr const char* kMark = "user.test.lent";
  template <class Future>
  static void wait(const Future& future) {
    REQUIRE(future.wait_for(std::chrono::minutes(2)) == std::future_status::ready);
  }

  const std::string host_;
  mutable std::promise<void> asked_;
  std::promise<void> go_;
  const std::shared_future<void> may_go_ = go_.get_future().share();
};

constexpr timespec kThen{1'000'000'000, 5};

struct Lent {
  Lent() {
    must(file::replace(host.path("f"), "what is lent", 0600));
    forest->directory("main");
    forest->file("main/f", std::string(12, '\0'));
    forest->file("main/other", "other");
    const auto file = must((*forest)->open(*forest->at("main/f"), O_RDWR, kMyself));
    const timespec times[2] = {kThen, kThen};
    REQUIRE(::futimens(file->descriptor(), times) == 0);
    REQUIRE((*forest)->fork("main", "fork"));
    SlowLender::mark(file->descriptor());
  }
  TemporaryDirectory host;
  SlowLender lender{host.path("f")};
  std::unique_ptr<TestForest> forest =
      std::make_unique<TestForest>(ForestOptions{.lender = &lender});
};

TEST_CASE("Everybody goes on while a lent file gets its bytes, also with this file") {
  Lent it;
  TestForest& forest = *it.forest;
  const TreeNodeRef lent = forest.at("fork/f");
  const auto reader = must(forest->open(*lent, O_RDONLY, kMyself));
  std::jthread writer([&] {
    const auto open = must(forest->open(*lent, O_RDWR, kMyself));
    CHECK(forest.write(*open, "WHAT") == 0);
  });
  it.lender.wait_until_asked();
  forest.file("fork/new", "new");
  forest.write("main/other", "OTHER");
  REQUIRE(forest->snapshot("fork", "s"));
  REQUIRE(forest->fork("fork", "again"));
  CHECK(forest.content(*reader) == "what is lent");
  CHECK(forest.read("again/f") == "what is lent");
  CHECK(forest.stat("fork/f").st_mtim.tv_sec == kThen.tv_sec);
  CHECK(forest.stat("fork/f").st_mtim.tv_nsec == kThen.tv_nsec);
  CHECK(forest.stat("fork/f").st_blocks != 0);
  it.lender.let_go();
  writer.join();
  CHECK(it.lender.fills == 1);
  CHECK(forest.content(*reader) == "WHAT is lent");
  CHECK(forest.read("fork/f") == "WHAT is lent");
  for (const char* path : {"main/f", "again/f"}) {
    CHECK(forest.read(path) == "what is lent");
    CHECK(forest.stat(path).st_mtim.tv_sec == kThen.tv_sec);
  }
}

TEST_CASE("Times that are set while a lent file gets its bytes stay set") {
  Lent it;
  TestForest& forest = *it.forest;
  const TreeNodeRef lent = forest.at("fork/f");
  std::jthread opener([&] { must(forest->open(*lent, O_RDWR, kMyself)); });
  it.lender.wait_until_asked();
  SetAttributes wanted{.which = SetAttributes::mtime};
  wanted.values.st_mtim = {2'000'000'000, 7};
  REQUIRE(forest->set_attributes(*lent, nullptr, wanted, kMyself));
  it.lender.let_go();
  opener.join();
  const struct stat now = forest.stat("fork/f");
  CHECK(now.st_mtim.tv_sec == 2'000'000'000);
  CHECK(now.st_mtim.tv_nsec == 7);
  CHECK(forest.read("fork/f") == "what is lent");
  CHECK(forest.stat("main/f").st_mtim.tv_sec == kThen.tv_sec);
}

}  // namespace
}  // namespace agentfs::test
