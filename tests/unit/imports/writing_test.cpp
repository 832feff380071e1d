// SPDX-License-Identifier: MIT
// What is written back to directories of the host.
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <thread>

#include "catch.h"
#include "imported.h"

namespace agentfs::test {
namespace {

TEST_CASE("A link in the place of a directory above the one that was imported leads nowhere") {
  Imported it;
  const std::string above = it.directory.path() + "/above";
  put(above + "/q/a", "a\n");
  put(it.directory.path() + "/other/q/b", "somebody's\n");
  const std::uint32_t id = must(it.store->add(fs::canonical(above + "/q").native()));
  must(it.store->record(id, must(it.store->drift(id, true))));
  fs::rename(above, above + "-away");
  fs::create_directory_symlink(it.directory.path() + "/other", above);
  CHECK(it.store->drift(id, false).error().code == ELOOP);
  const auto written = it.store->write(id, {it.file("new", "ours\n")});
  CHECK(written.error().code == ELOOP);
  CHECK_THAT(written.error().message,
             Catch::Matchers::has("is a link now and was none when it was imported"));
  CHECK_FALSE(fs::exists(it.directory.path() + "/other/q/new"));
}

TEST_CASE("A file that vanishes before it is lent is refused until it is back") {
  Imported it;
  fs::rename(it.host + "/a", it.host + "-a");
  const UniqueFd ours = it.lent("a");
  struct stat its{};
  REQUIRE(::fstat(ours.get(), &its) == 0);
  CHECK(its.st_size == 14);
  CHECK(it.store->open(ours.get()).error().code == EBUSY);
  fs::rename(it.host + "-a", it.host + "/a");
  const auto back = it.store->open(ours.get());
  CHECK(it.drifted() == (back ? Paths() : Paths{"a"}));
}

TEST_CASE("Changes are all written, with owner, mode and time") {
  Imported it;
  HostChange gone{.path = "src/deep"};
  HostChange gone_below{.path = "src/deep/c"};
  HostChange made{.path = "made"};
  made.to.mode = S_IFDIR | 0750;
  HostChange link{.path = "link", .target = "src/b"};
  link.to.mode = S_IFLNK | 0777;
  HostChange mode{.path = "src/b"};
  mode.to.mode = S_IFREG | 0755;
  must(it.store->write(it.id, {it.file("a", "new text\n"), link, made, it.file("made/below", "x\n"),
                               mode, gone, gone_below}));
  CHECK(it.names() == Paths{"a", "link", "made", "made/below", "src", "src/b"});
  CHECK(text_of(it.host + "/a") == "new text\n");
  CHECK(fs::read_symlink(it.host + "/link") == "src/b");
  struct stat attributes{};
  REQUIRE(::lstat((it.host + "/a").c_str(), &attributes) == 0);
  CHECK((attributes.st_mode & 07777) == 0640);
  CHECK(attributes.st_mtim.tv_sec == 1'600'000'000);
  REQUIRE(::lstat((it.host + "/src/b").c_str(), &attributes) == 0);
  CHECK((attributes.st_mode & 07777) == 0755);
}

TEST_CASE("Where one path has drifted nothing is written, and the sentence names it") {
  Imported it;
  put(it.host + "/src/b", "somebody's\n");
  const auto refused = it.store->write(it.id, {it.file("a", "ours\n"), it.file("src/b", "ours\n")});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == EBUSY);
  CHECK(refused.error().message.contains("src/b"));
  CHECK(text_of(it.host + "/a") == "the text of a\n");
  CHECK(text_of(it.host + "/src/b") == "somebody's\n");
  CHECK(it.names().size() == 6);
}

TEST_CASE("What already is as it shall be is no drift: a write that was cut short is completed") {
  Imported it;
  put(it.host + "/src/b", "ours\n");
  fs::permissions(it.host + "/src/b", fs::perms(0640));
  must(it.store->write(it.id, {it.file("a", "ours\n"), it.file("src/b", "ours\n")}));
  CHECK(text_of(it.host + "/a") == "ours\n");
}

TEST_CASE("A write that was cut short between two steps of a path is completed") {
  Imported it;
  fs::remove(it.host + "/src/b");
  fs::create_directory(it.host + "/made");
  fs::permissions(it.host + "/made", fs::perms(0700));
  HostChange made{.path = "made"};
  HostChange instead{.path = "src/b"};
  made.to.mode = instead.to.mode = S_IFDIR | 0755;
  must(it.store->write(it.id, {made, instead}));
  for (const char* const path : {"/made", "/src/b"}) {
    CHECK(fs::is_directory(it.host + path));
    CHECK(fs::status(it.host + path).permissions() == fs::perms(0755));
  }
}

// As a write() that a crash cut short leaves it: what was to go, and then what was to come.
void cut_short(Imported& it, const std::vector<std::string>& to_go) {
  std::string steps(1, '\0');
  for (const std::string& path : to_go) steps.append(path).append(2, '\0');
  steps.append(2, '\0');
  put(fmt::format("{}/imports/{}/applying", it.directory.path(), it.id), steps);
  it.open();
  must(it.store->settle());
}

TEST_CASE("Of changes those that the directory has by now are told, and no others") {
  Imported it;
  const std::vector<HostChange> changes{
      it.file("a", "ours\n"), it.file("src/b", "ours\n"), {.path = "src/deep/c"}};
  CHECK(must(it.store->written(it.id, changes)).drifts.empty());
  put(it.host + "/a", "ours\n");
  fs::permissions(it.host + "/a", fs::perms(0640));
  put(it.host + "/src/b", "somebody's\n");
  fs::remove(it.host + "/src/deep/c");
  cut_short(it, {"src/deep/c"});
  const auto [drifts, overtaken, links] = must(it.store->written(it.id, changes));
  REQUIRE(drifts.size() == 2);
  CHECK(drifts.front().path == "a");
  CHECK(drifts.back().path == "src/deep/c");
  CHECK(overtaken.empty());
}

TEST_CASE("What others change right after it was written is told as written, and as drifted") {
  Imported it;
  const std::vector<HostChange> changes{it.file("a", "ours\n"), it.file("src/b", "ours\n")};
  must(it.store->mark(it.id, "an order"));
  must(it.store->write(it.id, changes));
  put(it.host + "/a", "somebody's\n");
  const auto [drifts, overtaken, links] = must(it.store->written(it.id, changes));
  CHECK(overtaken == std::set<std::string>{"a"});
  REQUIRE(drifts.size() == 2);
  CHECK(drifts.front().now.size == changes.front().to.size);
  must(it.store->record(it.id, drifts));
  must(it.store->unmark(it.id));
  CHECK(it.drifted() == Paths{"a"});
  CHECK(must(it.store->written(it.id, changes)).overtaken.empty());  // of the next order
}

TEST_CASE("Of a write that a crash cut short all is known to be made before the last new file") {
  Imported it;
  const std::vector<HostChange> changes{
      it.file("a", "ours\n"), it.file("src/b", "ours\n"), {.path = "src/deep/c"}};
  must(it.store->mark(it.id, "an order"));
  const std::string left(".agentfs-0123456789ab");
  put(it.host + "/src/" + left, "ours\n");
  put(fmt::format("{}/imports/{}/applying", it.directory.path(), it.id),
      fmt::format("src/deep/c{0}{0}a{0}.agentfs-ba9876543210{0}src/b{0}src/{1}{0}", '\0', left));
  put(it.host + "/a", "somebody's\n");
  put(it.host + "/src/deep/c", "somebody's\n");
  put(it.host + "/src/b", "somebody's\n");
  it.open();
  must(it.store->settle());
  CHECK_FALSE(fs::exists(it.host + "/src/" + left));
  const auto [drifts, overtaken, links] = must(it.store->written(it.id, changes));
  CHECK(overtaken == std::set<std::string>{"a", "src/deep/c"});
  CHECK(drifts.size() == 2);
}

TEST_CASE("A file that is called like a temporary one is written, seen, and outlives a crash") {
  Imported it;
  const std::string name(".agentfs-0123456789ab");
  put(it.host + "/src/" + name, "somebody's\n");
  CHECK(it.drifted() == Paths{"src/" + name});
  must(it.store->record(it.id, must(it.store->drift(it.id, false))));
  must(it.store->write(it.id, {it.file(name, "ours\n"), it.file("a", "ours\n")}));
  CHECK(text_of(it.host + "/" + name) == "ours\n");
  put(fmt::format("{}/imports/{}/applying", it.directory.path(), it.id),
      fmt::format("{0}a{0}.agentfs-ba9876543210{0}{1}{0}{0}src/{1}{0}{0}", '\0', name));
  it.open();
  must(it.store->settle());
  CHECK(text_of(it.host + "/" + name) == "ours\n");
  CHECK(text_of(it.host + "/src/" + name) == "somebody's\n");
}

TEST_CASE("Names of one file that a write which was cut short has removed do not stop it") {
  Imported it;
  fs::create_hard_link(it.host + "/a", it.host + "/z");
  must(it.store->record(it.id, must(it.store->drift(it.id, false))));
  fs::remove(it.host + "/z");
  cut_short(it, {"z", "a"});
  must(it.store->write(it.id, {{.path = "a"}, {.path = "z"}}));
  CHECK(it.names() == Paths{"link", "src", "src/b", "src/deep", "src/deep/c"});
}

TEST_CASE("A mode for one name of a file and new bytes for another are written at once") {
  Imported it;
  for (const char* const name : {"/b", "/c", "/d"})
    fs::create_hard_link(it.host + "/a", it.host + name);
  must(it.store->record(it.id, must(it.store->drift(it.id, false))));
  HostChange mode{.path = "a"};
  mode.to = {.mode = S_IFREG | 0600, .size = 14};
  HostChange pipe{.path = "d"};
  pipe.to.mode = S_IFIFO | 0600;
  must(it.store->write(it.id, {mode, it.file("b", "ours\n"), it.file("c", "ours\n"), pipe}));
  CHECK(fs::status(it.host + "/a").permissions() == fs::perms(0600));
  CHECK(text_of(it.host + "/a") == "the text of a\n");
  CHECK(text_of(it.host + "/b") == "ours\n");
  CHECK(text_of(it.host + "/c") == "ours\n");
}

TEST_CASE("What somebody else has removed is no removal of a write, and is told as drifted") {
  Imported it;
  const std::vector<HostChange> changes{it.file("a", "ours\n"), {.path = "src/b"}};
  fs::remove(it.host + "/src/b");
  const auto refused = it.store->write(it.id, changes);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == EBUSY);
  CHECK(refused.error().message.contains("src/b"));
  CHECK(text_of(it.host + "/a") == "the text of a\n");
  CHECK(must(it.store->written(it.id, changes)).drifts.empty());
  CHECK(it.drifted() == Paths{"src/b"});
}

TEST_CASE("Of removals that a crash cut short those behind the first undone one are another's") {
  Imported it;
  const std::vector<HostChange> changes{{.path = "a"}, {.path = "src/b"}, {.path = "src/deep/c"}};
  fs::remove(it.host + "/src/deep/c");
  fs::remove(it.host + "/a");
  cut_short(it, {"src/deep/c", "src/b", "a"});
  const auto drifts = must(it.store->written(it.id, changes)).drifts;
  REQUIRE(drifts.size() == 1);
  CHECK(drifts.front().path == "src/deep/c");
  const auto refused = it.store->write(it.id, changes);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.contains("nothing more"));
  CHECK(fs::exists(it.host + "/src/b"));
}

TEST_CASE("A directory that holds what nobody recorded is not removed") {
  Imported it;
  put(it.host + "/src/deep/theirs", "theirs\n");
  const auto refused = it.store->write(it.id, {{.path = "src/deep"}, {.path = "src/deep/c"}});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == EBUSY);
  CHECK(refused.error().message.contains("src/deep/theirs"));
  CHECK(fs::exists(it.host + "/src/deep/c"));
}

TEST_CASE("A content that cannot be read leaves the directory as it was") {
  Imported it;
  HostChange broken = it.file("src/b", "x\n");
  broken.content = []() -> Result<UniqueFd> { return fail(EIO, "a broken disk"); };
  CHECK_FALSE(it.store->write(it.id, {it.file("a", "ours\n"), broken}));
  CHECK(text_of(it.host + "/a") == "the text of a\n");
  CHECK(it.names().size() == 6);
}

TEST_CASE("A directory that is moved away while files are copied has none of ours left in it") {
  Imported it;
  HostChange second = it.file("src/b", "ours\n");
  second.content = [&, copy = second.content] {
    fs::rename(it.host + "/src", it.host + "/away");
    return copy();
  };
  CHECK_FALSE(it.store->write(it.id, {it.file("a", "ours\n"), second}));
  CHECK(it.names() == Paths{"a", "away", "away/b", "away/deep", "away/deep/c", "link"});
}

TEST_CASE("What takes a file's place while others are copied is neither followed nor waited for") {
  using Take = std::function<void(const std::string& place)>;
  const std::string others = "others'\n";
  for (const bool mode_alone : {true, false}) {
    for (int way = 0; way < 3; ++way) {
      CAPTURE(mode_alone, way);
      Imported it;
      const std::string outside = it.directory.path("outside");
      put(outside, others);
      REQUIRE(::chmod(outside.c_str(), 0600) == 0);
      const Take ways[] = {
          [&](const std::string& place) { fs::create_symlink(outside, place); },
          [&](const std::string& place) { REQUIRE(::mkfifo(place.c_str(), 0600) == 0); },
          [&](const std::string& place) { REQUIRE(::link(outside.c_str(), place.c_str()) == 0); }};
      HostChange first = it.file("a", "new\n");
      first.content = [&, copy = first.content] {
        fs::remove(it.host + "/src/b");
        ways[way](it.host + "/src/b");
        return copy();
      };
      HostChange second = it.file("src/b", "ours\n");
      if (mode_alone) second.content = {};
      second.to.mode = S_IFREG | 0666;
      if (mode_alone) second.to.size = 2;
      const auto refused = it.store->write(it.id, {first, second});
      REQUIRE_FALSE(refused);
      CHECK(refused.error().code == EBUSY);
      struct stat found{};
      REQUIRE(::stat(outside.c_str(), &found) == 0);
      CHECK((found.st_mode & 07777) == 0600);
      CHECK(text_of(outside) == others);
    }
  }
}

// Somebody who saves a path at the instant in which a write() takes its steps.
class Saver {
 public:
  Saver(const Imported& it, const std::string& path, unsigned spins)
      : thread_([steps = fmt::format("{}/imports/{}/applying", it.directory.path(), it.id),
                 saved = it.directory.path() + "/saved", place = it.host + "/" + path, spins,
                 this] {
          while (::access(steps.c_str(), F_OK) != 0 && !is_over_) continue;
          for (unsigned i = 0; i < spins; ++i) std::atomic_signal_fence(std::memory_order_seq_cst);
          is_done_ = ::rename(saved.c_str(), place.c_str()) == 0;
        }) {}
  ~Saver() { join(); }
  Saver(const Saver&) = delete;
  Saver& operator=(const Saver&) = delete;
  bool join() {
    is_over_ = true;
    if (thread_.joinable()) thread_.join();
    return is_done_;
  }

 private:
  std::atomic<bool> is_over_ = false;
  std::atomic<bool> is_done_ = false;
  std::thread thread_;
};

TEST_CASE("What somebody saves while a path is written or removed is there in the end") {
  Imported it;
  int refused = 0;
  for (unsigned round = 0; round < 100; ++round) {
    const bool removes = round % 2 == 1;
    put(it.directory.path() + "/saved", "somebody's\n");
    put(it.host + "/a", "as it was\n");
    must(it.store->record(it.id, must(it.store->drift(it.id, false))));
    const HostChange change = removes ? HostChange{.path = "a"} : it.file("a", "ours\n");
    Saver saver(it, "a", round * 7 % 1999);
    const auto written = it.store->write(it.id, {change});
    REQUIRE(saver.join());
    REQUIRE(text_of(it.host + "/a") == "somebody's\n");
    REQUIRE(it.names() == Paths{"a", "link", "src", "src/b", "src/deep", "src/deep/c"});
    refused += written ? 0 : 1;
  }
  CHECK(refused < 100);
}

}  // namespace
}  // namespace agentfs::test
