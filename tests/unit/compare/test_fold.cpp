// SPDX-License-Identifier: MIT
// What a command changed on a kernel overlay of a tree, read and folded into the tree.
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "backends/compare/record.h"
#include "backends/compare/upper_tree.h"
#include "backends/forest.h"
#include "base/text.h"
#include "compare_fixture.h"

namespace agentfs::test {
namespace {

// A forest with one tree, "site", and an overlay of it.
class Overlaid {
 public:
  Overlaid() {
    sh("mkdir -p trees/site lines upper work aside seen && cd trees/site && mkdir -p d/sub gone && "
       "echo a >a && ln a a2 && echo x >d/x && echo y >d/sub/y && echo 1 >gone/1 && ln -s a link "
       "&& mkdir old && ln a old/a && touch -d @1000000000 d/x old && setfattr -n user.old -v 1 a");
    forest = must(open_forest(directory.path("trees"), directory.path("lines")));
  }
  std::string sh(const std::string& command) const {
    const Ran ran = run_in(directory.path(), command);
    INFO(command << "\n" << ran.output);
    REQUIRE(ran.status == 0);
    return ran.output;
  }
  // The command on an overlay, and on a plain copy of the tree.
  void work(const std::string& command) const {
    sh("rm -rf plain && cp -a trees/site plain");
    sh("unshare -m sh -ec 'mount -t overlay -o redirect_dir=on,index=on,lowerdir=trees/site,"
       "upperdir=upper,workdir=work overlay seen; cd seen; " +
       command + "'");
    sh("cd plain && " + command);
  }
  std::string path(const std::string& below) const { return directory.path(below); }
  TreeSide ours() { return {forest.get(), must(forest->tree("site")).node}; }
  OverlayLeft left() const {
    return {.upper = path("upper"),
            .work = path("work"),
            .aside = path("aside"),
            .lower = path("trees/site")};
  }
  FoldPlan plan() {
    return must(folder->plan(ours(), left(), [this](const std::string& changed) {
      return std::ranges::find(by_others, changed) != by_others.end();
    }));
  }
  void fold(const FoldPlan& plan) {
    const std::string record = must(folder->stage(ours(), left(), plan.record));
    must(merger->apply(ours(), record));
    must(merger->finish(ours(), record, {}));
    must(folder->dress(ours(), left(), record));
    sh("rm -r upper work aside");
  }
  // Names, types, modes, bytes, attributes, links and old times, a line each.
  std::string seen(const std::string& below) const {
    const std::string top = path(below);
    std::vector<std::string> lines{described(top, true)};
    for (const auto& entry : std::filesystem::recursive_directory_iterator(top)) {
      const std::string name = entry.path().lexically_relative(top);
      lines.push_back(fmt::format("{} {}", name, described(entry.path(), false)));
    }
    std::ranges::sort(lines);
    return fmt::format("{}", fmt::join(lines, "\n"));
  }

  TemporaryDirectory directory;
  bool with_links = true;  // false: the disk counts those of snapshots, too
  std::unique_ptr<Forest> forest;
  const std::unique_ptr<OverlayFolder> folder = open_folder();
  const std::unique_ptr<TreeMerger> merger = open_merger();
  std::vector<std::string> by_others;

 private:
  // Of the top what the overlay says of it, too.
  std::string described(const std::string& file, bool is_top) const {
    constexpr time_t kYear2002 = 1'009'843'200;
    struct stat now{};
    REQUIRE(::lstat(file.c_str(), &now) == 0);
    std::string line = fmt::format("{:o} {}", now.st_mode, with_links ? now.st_nlink : 0);
    if (now.st_mtim.tv_sec < kYear2002) line += fmt::format(" {}", now.st_mtim.tv_sec);
    if (S_ISLNK(now.st_mode)) line += " -> " + std::filesystem::read_symlink(file).string();
    if (S_ISREG(now.st_mode)) line += " " + text::shown(slurp(file));
    std::array<char, 4096> names{};
    const ssize_t length = ::llistxattr(file.c_str(), names.data(), names.size());
    REQUIRE(length >= 0);
    const std::string_view all(names.data(), static_cast<std::size_t>(length));
    for (const std::string_view each : text::split(all, '\0')) {
      const std::string name(each);
      const bool is_of_overlay = is_top && name.starts_with("trusted.overlay.");
      if (!name.starts_with("user.") && !is_of_overlay) continue;
      std::array<char, 4096> value{};
      const ssize_t size = ::lgetxattr(file.c_str(), name.c_str(), value.data(), value.size());
      REQUIRE(size >= 0);
      const std::string_view text(value.data(), static_cast<std::size_t>(size));
      line += fmt::format(" {}={}", name, text::shown(text));
    }
    return line;
  }
};

#define NEEDS_ROOT()                                  \
  if (::geteuid() != 0) {                             \
    WARN("SKIPPED: overlays are made by root alone"); \
    return;                                           \
  }                                                   \
  static_assert(true)

const char* const kCommands[] = {
    "true",
    "echo new >new; mkdir -p n/m; echo f >n/m/f; ln n/m/f n/g; ln -s nowhere n/l; mkfifo p",
    "rm a; rm -r gone; rm d/x",
    "echo more >>a",
    "echo more >>a; rm a",
    "echo more >>a; mv a2 a3",
    "rm a; ln a2 a",
    "mv d e; echo more >>e/x; rm e/sub/y; echo z >e/z",
    "mkdir n; mv d n/e; echo more >>n/e/x; echo f >n/f; touch -d @1000000000 n",
    "mv d/sub s; mv d s/d; mkdir d; echo y >d/y",
    "mv d t; mv gone d; mv t gone; echo more >>gone/x",
    "rm -r d; mkdir d; echo other >d/x",
    "rm -r d; echo now-a-file >d; rm a; mkdir a; rm link; echo file >link",
    "chmod 700 d; chmod 600 a; touch -d @1000000000 gone; setfattr -x user.old a",
    "chmod 000 d",
    "setfattr -n user.n -v 1 gone; setfattr -n user.n -v 1 d/x",
    "echo x >d/temp; rm d/temp; touch a",
    "mv a b; mv b d/b; mv d/b d/sub/b",
};

TEST_CASE("a fold makes of a tree what the command made of it", "[ordinary]") {
  NEEDS_ROOT();
  for (const char* const command : kCommands) {
    for (const bool kept : {false, true}) {
      INFO(command << (kept ? " (of a tree with a snapshot)" : ""));
      Overlaid one;
      if (kept) one.with_links = false;
      if (kept) must(one.forest->snapshot("site", "before"));
      const std::string before = one.seen("trees/site");
      one.work(command);
      const FoldPlan plan = one.plan();
      CHECK(plan.conflicts.empty());
      CHECK(one.seen("trees/site") == before);
      one.fold(plan);
      CHECK(one.seen("trees/site") == one.seen("plain"));
    }
  }
}

TEST_CASE("a fold that is taken back leaves the tree and the overlay as they were", "[ordinary]") {
  NEEDS_ROOT();
  for (const char* const command : kCommands) {
    INFO(command);
    Overlaid one;
    const std::string before = one.seen("trees/site");
    one.work(command);
    const std::string upper = one.seen("upper");
    for (const bool applied : {false, true, true}) {
      const FoldPlan plan = one.plan();
      const std::string record = must(one.folder->stage(one.ours(), one.left(), plan.record));
      // Again, as after a crash.
      CHECK(must(one.folder->stage(one.ours(), one.left(), plan.record)) == record);
      if (applied) must(one.merger->apply(one.ours(), record));
      must(one.merger->undo(one.ours(), record));
      must(one.folder->unstage(one.ours(), one.left(), record));
      CHECK(one.seen("upper") == upper);
      CHECK(one.seen("trees/site") == before);
    }
    one.fold(one.plan());
    CHECK(one.seen("trees/site") == one.seen("plain"));
  }
}

TEST_CASE("what others have changed stays, and is told", "[ordinary]") {
  NEEDS_ROOT();
  Overlaid one;
  one.work("echo mine >a; rm -r d; mkdir n; echo n >n/n; echo mine >both");
  one.sh("echo theirs >trees/site/a; echo theirs >trees/site/d/x; echo theirs >trees/site/both");
  one.by_others = {"a", "d/x", "both"};
  const FoldPlan plan = one.plan();
  std::string told;
  for (const FoldConflict& conflict : plan.conflicts) {
    told += fmt::format("{} {} {}\n", conflict.path, conflict.upper, conflict.is_text);
  }
  CHECK(told ==
        "a a false\nboth both true\nd/x  false\n"
        "a2  false\nold/a  false\n");
  one.fold(plan);
  CHECK(one.sh("cd trees/site && cat a d/x both n/n; ls d") == "theirs\ntheirs\ntheirs\nn\nx\n");
}

// "path upper" of each conflict, a line each.
std::string told(const FoldPlan& plan) {
  std::string lines;
  for (const FoldConflict& conflict : plan.conflicts) {
    lines += fmt::format("{} {}\n", conflict.path, conflict.upper);
  }
  return lines;
}

TEST_CASE("what a command removed goes, too, where it made the directory anew", "[ordinary]") {
  NEEDS_ROOT();
  Overlaid one;
  one.work("rm -r d; mkdir -m 700 d; echo new >d/new");
  one.sh("echo theirs >trees/site/d/sub/y");
  one.by_others = {"d/sub/y"};
  const FoldPlan plan = one.plan();
  CHECK(told(plan) == "d/sub/y \n");
  one.fold(plan);
  CHECK(one.sh("cd trees/site/d && find . | sort && cat sub/y && stat -c %a .") ==
        ".\n./new\n./sub\n./sub/y\ntheirs\n700\n");
}

TEST_CASE("a fold takes what its inodes hold: no holes, and each file once", "[ordinary]") {
  NEEDS_ROOT();
  Overlaid one;
  one.work("truncate -s 100M hole; head -c 100000 /dev/zero | tr 0 x >big; ln big big2; ln big b3");
  const Growth growth = one.plan().growth;
  CHECK(growth.whole().inodes == 2);
  CHECK(growth.whole().bytes < 200'000);
  CHECK(growth.whole().bytes >= 100'000);
  CHECK(growth.users().at(0).inodes == 2);
}

TEST_CASE("a name that goes gives room with the last of its file", "[ordinary]") {
  NEEDS_ROOT();
  for (const bool all : {false, true}) {
    Overlaid one;
    one.work(all ? "rm a a2 old/a" : "rm a a2");
    const Growth growth = one.plan().growth;
    CHECK(growth.whole().inodes == (all ? -1 : 0));
    CHECK(growth.whole().bytes <= 0);
    CHECK((growth.whole().bytes < 0) == all);
  }
}

TEST_CASE("a file that others changed under another name stays under all", "[ordinary]") {
  NEEDS_ROOT();
  struct Work {
    std::string command, conflicts;
  };
  for (const Work& work :
       {Work{"echo mine >>a", "a a\na2 \nold/a \n"}, {"rm a", "a \n"}, {"mv a b", "a \n"}}) {
    INFO(work.command);
    Overlaid one;
    one.work(work.command);
    one.sh("echo theirs >>trees/site/a2");
    one.by_others = {"a2"};
    const FoldPlan plan = one.plan();
    CHECK(told(plan).starts_with(work.conflicts));
    CHECK(std::ranges::none_of(plan.conflicts, &FoldConflict::is_text));
    one.fold(plan);
    CHECK(one.sh("cd trees/site && cat a a2 old/a") == "a\ntheirs\na\ntheirs\na\ntheirs\n");
    CHECK(one.sh("cd trees/site && find . -samefile a | sort") == "./a\n./a2\n./old/a\n");
  }
}

TEST_CASE("what a command wrote under a name that it removed is told and kept", "[ordinary]") {
  NEEDS_ROOT();
  Overlaid one;
  one.work("echo mine >>a; rm a");
  const auto is_told = [](const FoldChange& change) {
    return !change.is_silent && change.operation == "write" && change.path == "a2";
  };
  CHECK(std::ranges::count_if(one.plan().changes, is_told) == 1);
  one.sh("echo theirs >>trees/site/a2");
  one.by_others = {"a2"};
  const FoldPlan plan = one.plan();
  const auto kept = std::ranges::find(plan.conflicts, "a2", &FoldConflict::path);
  REQUIRE(kept != plan.conflicts.end());
  CHECK(one.sh("cat upper/" + kept->upper) == "a\nmine\n");
}

TEST_CASE("all that a command did in a directory that others took away is a conflict",
          "[ordinary]") {
  NEEDS_ROOT();
  struct Work {
    std::string command, others, conflicts;
  };
  const Work all[] = {
      {"mkdir -p d/n/m d/k; chmod 700 d; rm d/x", "mv d e",
       "d d\nd/k d/k\nd/n d/n\nd/n/m d/n/m\nd/x \n"},
      {"mv d x", "mv d y", "x x\n"},
      {"mkdir n; mv d n/x", "mv d y", "n/x n/x\n"},
      {"mkdir new", "echo theirs >new", "new new\n"},
  };
  for (const Work& work : all) {
    INFO(work.command << " against " << work.others);
    Overlaid one;
    one.work(work.command);
    one.sh("cd trees/site && " + work.others);
    one.by_others = {"new"};
    const std::string before = one.seen("trees/site");
    const FoldPlan plan = one.plan();
    CHECK(told(plan) == work.conflicts);
    if (plan.is_empty) CHECK(one.seen("trees/site") == before);
  }
}

TEST_CASE("names of the mount's own do not come into a tree", "[ordinary]") {
  NEEDS_ROOT();
  Overlaid one;
  one.work("mkdir -p .agentfs n/.agentfs .agentfs-merge; echo x >n/.agentfs/x; echo y >n/y");
  const FoldPlan plan = one.plan();
  CHECK(plan.notes.size() == 3);
  one.fold(plan);
  CHECK(one.sh("cd trees/site && ls -A . n") == ".:\na\na2\nd\ngone\nlink\nn\nold\n\nn:\ny\n");
}

TEST_CASE("an upper directory is read as the kernel writes it", "[ordinary]") {
  NEEDS_ROOT();
  using compare::UpperEntry;
  Overlaid one;
  one.work("rm a; mv d e; rm -r gone; mkdir gone; echo more >>a2; mkdir n");
  const auto upper = must(compare::UpperDirectory::open(one.path("upper")));
  CHECK(must(upper.names("")) == std::vector<std::string>{"a", "a2", "d", "e", "gone", "n"});
  CHECK(must(upper.entry("a")).kind == UpperEntry::Kind::whiteout);
  CHECK(must(upper.entry("d")).kind == UpperEntry::Kind::whiteout);
  const UpperEntry moved = must(upper.entry("e"));
  CHECK((moved.kind == UpperEntry::Kind::directory && !moved.is_opaque && moved.is_copied));
  CHECK(moved.redirect.ends_with("d"));
  CHECK(must(upper.entry("gone")).is_opaque);
  const UpperEntry copied = must(upper.entry("a2"));
  CHECK((copied.kind == UpperEntry::Kind::leaf && copied.is_copied));
  const auto index = must(compare::read_index(one.path("work"), one.path("trees/site")));
  struct stat lower{};
  REQUIRE(::stat(one.path("trees/site/a2").c_str(), &lower) == 0);
  CHECK(index.contains(lower.st_ino));
  CHECK(upper.entry("nothing").error().code == ENOENT);
  CHECK(compare::UpperDirectory::open(one.path("nowhere")).error().code == ENOENT);
}

TEST_CASE("what a fold takes off its files is taken off nothing that a link leads to",
          "[ordinary]") {
  NEEDS_ROOT();
  Overlaid one;
  one.work("mkdir d/new; echo b >d/new/x; echo more >>d/x");
  const FoldPlan plan = one.plan();
  const std::string record = must(one.folder->stage(one.ours(), one.left(), plan.record));
  must(one.merger->apply(one.ours(), record));
  must(one.merger->finish(one.ours(), record, {}));
  one.sh(
      "mkdir -p other/new && echo 1 >other/new/x && echo 1 >other/x && "
      "setfattr -n trusted.overlay.opaque -v y other/new other/new/x other/x && "
      "mv trees/site/d trees/site/moved && ln -s ../../other trees/site/d");
  must(one.folder->dress(one.ours(), one.left(), record));
  CHECK(one.sh("getfattr -h -m trusted.overlay.opaque other/new other/new/x other/x | grep -c "
               "overlay") == "3\n");
}

TEST_CASE("records of a fold that are damaged are refused", "[ordinary]") {
  NEEDS_ROOT();
  Overlaid one;
  one.work("echo b >b; chmod 700 d");
  std::string record = one.plan().record;
  const auto broken = [&](const std::string& from, const std::string& to) {
    std::string text = record;
    text.replace(text.find(from), from.size(), to);
    return one.folder->stage(one.ours(), one.left(), text).error().code;
  };
  CHECK(broken("\"do\":\"a\"", "\"do\":\"?\"") == EBADMSG);
  CHECK(broken("\"xattrs\":[", "\"xattrs\":7,\"y\":[") == EBADMSG);
  CHECK(broken("\"pieces\":[", "\"pieces\":[7,") == EBADMSG);
}

TEST_CASE("a directory's permissions in a record of a fold", "[ordinary]") {
  compare::MergeRecord record;
  record.dresses = {{.path = "closed", .mode = 0}, {.path = "open", .mode = 0755}, {.path = "as"}};
  const auto read = must(compare::record_of(compare::to_text(record)));
  REQUIRE(read.dresses.size() == 3);
  CHECK(read.dresses[0].mode == mode_t{0});
  CHECK(read.dresses[1].mode == mode_t{0755});
  CHECK(!read.dresses[2].mode);
  const auto older = must(compare::record_of(
      R"({"format":1,"steps":[],"dresses":[{"path":"as","mode":0,"modified":1,"xattrs":[]},)"
      R"({"path":"set","mode":448,"modified":1,"xattrs":[]}]})"));
  REQUIRE(older.dresses.size() == 2);
  CHECK(!older.dresses[0].mode);
  CHECK(older.dresses[1].mode == mode_t{0700});
}

}  // namespace
}  // namespace agentfs::test
