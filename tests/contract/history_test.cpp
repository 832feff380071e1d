// SPDX-License-Identifier: MIT
// Nothing is lost: random changes of a workspace, and after each what it took away is had back.
#include "kernel/history.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>

#include "catch.h"
#include "fs/vfs/wait_for.h"
#include "kernel/history_keeper.h"
#include "kernel/paths.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

std::vector<FileVersionRef> versions_of(TreeWorld& world, const std::string& path) {
  std::vector<FileVersionRef> versions;
  world.kernel().look_at_history([&](const History& h) { versions = h.versions(path); });
  return versions;
}

std::string text_of(TreeWorld& world, const std::string& path) {
  const auto handle = world.get(path)->open(world.request(), O_RDONLY);
  REQUIRE(handle);
  const auto bytes = vfs::wait_for<vfs::Bytes>([&](Completion<vfs::Bytes> done) {
    handle->handle->read(world.request(), 0, 1U << 20U, done);
  });
  REQUIRE(bytes);
  std::string text = bytes->text;
  if (bytes->descriptor >= 0) {
    text.resize(1U << 16U);
    const ssize_t got = ::pread(bytes->descriptor, text.data(), text.size(), 0);
    text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  }
  handle->handle->release();
  return text;
}

// Changes through the nodes, as the channel makes them, beside a map of what must be there.
class Model {
 public:
  Model(TreeWorld& world, unsigned seed) : world_(world), random_(seed) {
    for (const char* name : {"d1", "d2"}) {
      REQUIRE(world_.get(kSite)->make_directory(world_.request(), name, 0755));
    }
  }

  void step() {
    const std::string path = any_path();
    switch (random_() % 7) {
      case 0:
      case 1:
        return write(path, O_TRUNC, 0);
      case 2:
        return write(path, 0, 0);
      case 3:
        return write(path, 0, files_.contains(path) ? files_[path].size() : 0);
      case 4:
        return truncate(path);
      case 5:
        return remove(path);
      default:
        return rename(path, any_path());
    }
  }

  void check() {
    for (const auto& [path, text] : files_) CHECK(text_of(world_, path) == text);
    for (const auto& [path, text] : lost_) {
      INFO(path);
      const auto versions = versions_of(world_, path);
      REQUIRE_FALSE(versions.empty());
      if (text.empty()) continue;
      CHECK(text_of(world_, fmt::format("{}/.agentfs/versions{}/{:06}", kSite,
                                        path.substr(kSite.size()), versions.back()->number)) ==
            text);
    }
  }

  // Any version of any path, however old.
  void restore() {
    if (seen_.empty()) return;
    auto at = seen_.begin();
    std::advance(at, static_cast<long>(random_() % seen_.size()));
    const auto& [number, old] = *at;
    const auto& [path, text] = old;
    lose(path);
    const std::string line =
        fmt::format("restore {} {:06}\n", path.substr(kSite.size() + 1), number);
    REQUIRE(world_.write(kSite + "/.agentfs/ctl", line) == 0);
    files_[path] = text;
    note(path);
    CHECK(text_of(world_, path) == text);
  }

 private:
  std::string any_path() {
    static constexpr const char* kNames[] = {"a", "b", "d1/a", "d1/b", "d2/a", "d2/c"};
    return kSite + "/" + kNames[random_() % std::size(kNames)];
  }
  std::string any_text() {
    return fmt::format("{:x}{}", random_(), std::string(random_() % 300, 'x'));
  }
  // The content that an operation is about to take away; note() after it.
  void lose(const std::string& path) {
    lost_.clear();
    const auto file = files_.find(path);
    if (file != files_.end() && !file->second.empty()) lost_[path] = file->second;
  }
  void note(const std::string& path) {
    if (!lost_.contains(path)) return;
    const auto versions = versions_of(world_, path);
    REQUIRE_FALSE(versions.empty());
    seen_[versions.back()->number] = {path, lost_[path]};
  }

  void write(const std::string& path, int flags, std::size_t offset) {
    const bool is_append = offset != 0 && flags == 0;
    lose(path);
    if (is_append) lost_.clear();
    const std::string text = any_text();
    const vfs::NodeRef directory = world_.get(parent_of(path));
    const auto created =
        directory->create(world_.request(), name_of(path), O_RDWR | O_CREAT | flags, 0644);
    REQUIRE(created);
    vfs::Handle& handle = *created->opened.handle;
    for (int piece = 0; piece < 2; ++piece) {  // one version for both
      const auto put = vfs::wait_for<std::size_t>([&](Completion<std::size_t> done) {
        handle.write(world_.request(), static_cast<off_t>(offset), text, done);
      });
      REQUIRE(put);
    }
    REQUIRE(handle.flush(world_.request()));
    handle.release();
    std::string& now = files_[path];
    if (flags != 0) now.clear();
    now.replace(std::min(offset, now.size()), text.size(), text);
    note(path);
  }

  void truncate(const std::string& path) {
    if (!files_.contains(path) || files_[path].empty()) return;
    lose(path);
    SetAttributes wanted{.which = SetAttributes::size};
    wanted.values.st_size = static_cast<off_t>(random_() % files_[path].size());
    REQUIRE(world_.get(path)->set_attributes(world_.request(), nullptr, wanted));
    files_[path].resize(static_cast<std::size_t>(wanted.values.st_size));
    note(path);
  }

  void remove(const std::string& path) {
    if (!files_.contains(path)) return;
    lose(path);
    REQUIRE(world_.get(parent_of(path))->unlink(world_.request(), name_of(path)));
    note(path);
    if (!files_[path].empty()) {
      const std::string trash = kSite + "/.agentfs/trash" + path.substr(kSite.size());
      CHECK(text_of(world_, trash) == files_[path]);
    }
    files_.erase(path);
  }

  void rename(const std::string& from, const std::string& to) {
    if (!files_.contains(from) || from == to) return;
    lose(to);
    const vfs::NodeRef target = world_.get(parent_of(to));
    REQUIRE(world_.get(parent_of(from))
                ->rename(world_.request(), name_of(from), *target, name_of(to), 0));
    files_[to] = files_[from];
    files_.erase(from);
    note(to);
  }

  TreeWorld& world_;
  std::mt19937 random_;
  std::map<std::string, std::string> files_;
  std::map<std::string, std::string> lost_;  // by the last operation
  std::map<std::uint64_t, std::pair<std::string, std::string>> seen_;
};

TEST_CASE("What any operation takes away is a version, and restore brings each one back") {
  for (unsigned seed = 1; seed <= 6; ++seed) {
    INFO("seed " << seed);
    TreeWorld world;
    Model model(world, seed);
    for (int i = 0; i < 120; ++i) {
      model.step();
      model.check();
      if (i % 5 == 0) model.restore();
      if (i % 60 == 59) {
        world.restart();
        model.check();
      }
    }
  }
}

TEST_CASE("A workspace without changes has an empty history") {
  TreeWorld world;
  const vfs::NodeRef history = world.get(kSite + "/.agentfs");
  std::vector<std::string> names;
  for (const vfs::DirectoryItem& item : world.items(*history)) names.push_back(item.name);
  std::ranges::sort(names);
  CHECK(names == std::vector<std::string>{"README", "conflicts", "ctl", "diff", "events.jsonl",
                                          "forks", "limits", "log", "snapshots", "status", "trash",
                                          "usage", "versions"});
  for (const char* name : {"trash", "versions"}) {
    CHECK(world.items(*world.get(fmt::format("{}/.agentfs/{}", kSite, name))).size() == 1);
  }
  const std::string usage = world.read(kSite + "/.agentfs/usage");
  CHECK(usage.contains("\nbytes_limit\tunlimited\ninodes\t1\ninodes_limit\tunlimited\n"));
  CHECK(usage.ends_with(
      "history_bytes\t0\nhistory_files\t0\nhistory_versions\t0\nhistory_trash\t0\n"));
  CHECK_FALSE(world.find("/workspaces/.agentfs"));
  CHECK_FALSE(world.find("/tmp/.agentfs"));
}

TEST_CASE("For the session of the trees each name of a history is a link to the same elsewhere") {
  TreeWorld world;
  REQUIRE(world.get(kSite)->make_directory(world.request(), "sub", 0755));
  for (const std::string& place : {kSite + "/.agentfs", kSite + "/sub/.agentfs"}) {
    const vfs::NodeRef history = world.get(place);
    world.request().come_by(vfs::Part::trees);
    std::vector<std::string> names{"follow", "events"};  // not listed
    for (const vfs::DirectoryItem& item : world.items(*history)) {
      if (item.name.starts_with('.')) continue;
      CHECK(item.type == (item.name == "README" ? S_IFREG : S_IFLNK));
      if (item.name != "README") names.push_back(item.name);
    }
    CHECK(names.size() > 10);
    for (const std::string& name : names) {
      INFO(place << "/" << name);
      const auto link = history->lookup(world.request(), name);
      REQUIRE(link);
      REQUIRE(link->node->type() == S_IFLNK);
      const auto target = link->node->read_link(world.request());
      REQUIRE(target);
      CHECK(static_cast<std::size_t>(link->attributes.st_size) == target->size());
      CHECK(paths::normalise(*target, place) == "/.agentfs" + kSite + "/" + name);
    }
    world.request().come_by(vfs::Part::generated);
    for (const std::string& name : names) CHECK(world.find("/.agentfs" + kSite + "/" + name));
    world.request().come_by(vfs::Part::whole);
    CHECK(history->lookup(world.request(), "ctl")->node->type() == S_IFREG);
  }
}

TEST_CASE("Only the owner of a workspace sees its history, and root") {
  TreeWorld world;
  world.become(world.base().person(4321));
  const auto log = world.find(kSite + "/.agentfs/log");
  REQUIRE_FALSE(log);
  CHECK(log.error().code == EACCES);
  CHECK(world.write(kSite + "/.agentfs/ctl", "restore a\n") == EACCES);
}

}  // namespace
}  // namespace agentfs::test
