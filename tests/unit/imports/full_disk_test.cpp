// SPDX-License-Identifier: MIT
// What a write() comes to where the disk of the directory has room for the bytes alone: calls of
// this program that set attributes fail when a test says so.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <utility>

#include "catch.h"
#include "imported.h"

namespace agentfs::test {
namespace {

enum class Call : int { none, xattr, owner, mode };
Call failing = Call::none;
// `kept`: blocks that are free, which the disk gives nobody. `blocks`: but no files, as a tmpfs
// counts attributes, too.
enum class Room : int { none, kept, blocks, all };
Room room = Room::none;

int answer(Call call, long done) noexcept {
  if (failing != call) return static_cast<int>(done);
  errno = ENOSPC;
  return -1;
}

}  // namespace
}  // namespace agentfs::test

using agentfs::test::answer;
using agentfs::test::Call;
using agentfs::test::Room;

extern "C" int fsetxattr(int file, const char* name, const void* value, size_t size,
                         int flags) noexcept {
  return answer(Call::xattr, ::syscall(SYS_fsetxattr, file, name, value, size, flags));
}
extern "C" int fchown(int file, uid_t user, gid_t group) noexcept {
  return answer(Call::owner, ::syscall(SYS_fchown, file, user, group));
}
extern "C" int fchmod(int file, mode_t mode) noexcept {
  return answer(Call::mode, ::syscall(SYS_fchmod, file, mode));
}
// A disk that is full says so, too; one that is not has room for all but attributes of one file.
extern "C" int fstatvfs(int file, struct statvfs* disk) noexcept {
  struct statfs found{};
  if (::fstatfs(file, &found) != 0) return -1;
  *disk = {};
  const bool is_full = agentfs::test::failing != Call::none;
  const Room room = is_full ? agentfs::test::room : Room::all;
  const bool has_blocks = room == Room::blocks || room == Room::all;
  disk->f_bfree = has_blocks ? found.f_bfree : room == Room::kept ? 4096 : 0;
  disk->f_bavail = has_blocks ? found.f_bavail : 0;
  disk->f_files = 4096;
  disk->f_ffree = disk->f_favail = room == Room::blocks ? 0 : 4096;
  return 0;
}

namespace agentfs::test {

TEST_CASE(
    "A write that the disk has no room for the attributes of is refused, and nothing is done") {
  Imported it;
  const std::string path = it.host + "/a";
  const bool has_xattr = ::setxattr(path.c_str(), "user.note", "theirs", 6, 0) == 0;
  if (::geteuid() == 0) REQUIRE(::chown(path.c_str(), 1000, 1000) == 0);
  must(it.store->record(it.id, must(it.store->drift(it.id, true))));
  const Call call = GENERATE(Call::xattr, Call::owner, Call::mode);
  const bool is_made =
      (call == Call::xattr && !has_xattr) || (call == Call::owner && ::geteuid() != 0);
  HostChange change = it.file("a", "ours\n");
  failing = call;
  const auto written = it.store->write(it.id, {change});
  failing = Call::none;
  CAPTURE(static_cast<int>(call));
  REQUIRE(written.has_value() == is_made);
  if (is_made) return;
  CHECK(written.error().code == ENOSPC);
  CHECK(written.error().message.starts_with(path + ": "));
  CHECK(written.error().message.ends_with(
      fmt::format("; nothing was written to {}, and with room on that disk it would do", it.host)));
  CHECK(text_of(path) == "the text of a\n");
  CHECK(it.names().size() == 6);
  must(it.store->write(it.id, {change}));
  CHECK(text_of(path) == "ours\n");
  char note[8] = "";
  CHECK((!has_xattr || ::getxattr(path.c_str(), "user.note", note, sizeof note) == 6));
  struct stat attributes{};
  REQUIRE(::stat(path.c_str(), &attributes) == 0);
  CHECK((::geteuid() != 0 || attributes.st_uid == 1000));
}

TEST_CASE("A state without room for what a write is about to do is what the sentence names") {
  Imported it;
  const std::string noted = fmt::format("{}/imports/{}/writing", it.directory.path(), it.id);
  // What is to be renamed to it; before anything is staged, or after that.
  const auto fill_disk = [&] { fs::create_symlink("/dev/full", noted + ".agentfs-new"); };
  const bool is_staged = GENERATE(false, true);
  HostChange change = it.file("a", "ours\n");
  if (is_staged) {
    change.content = [&, content = change.content] {
      fill_disk();
      return content();
    };
  } else {
    fill_disk();
  }
  const auto written = it.store->write(it.id, {change});
  REQUIRE_FALSE(written);
  CHECK(written.error().code == ENOSPC);
  CHECK(written.error().message ==
        fmt::format("{}: No space left on device; nothing was written to {}, and with room on the "
                    "state's disk it would do",
                    noted, it.host));
  CHECK(text_of(it.host + "/a") == "the text of a\n");
  CHECK(it.names().size() == 6);
  must(it.store->write(it.id, {it.file("a", "ours\n")}));
}

TEST_CASE("An attribute that there is no room for is no change that was made") {
  Imported it;
  const std::string path = it.host + "/a";
  if (::setxattr(path.c_str(), "user.note", "theirs", 6, 0) != 0) {
    WARN("SKIPPED: this disk takes no attributes of users");
    return;
  }
  must(it.store->record(it.id, must(it.store->drift(it.id, true))));
  HostChange change = it.file("a", "ours\n");
  change.had_xattrs = {{"user.note", "theirs"}};
  change.xattrs = {{"user.note", "ours"}};
  room = GENERATE(Room::none, Room::kept, Room::blocks, Room::all);
  CAPTURE(static_cast<int>(room));
  failing = Call::xattr;
  const auto written = it.store->write(it.id, {change});
  failing = Call::none;
  REQUIRE(written.has_value() == (std::exchange(room, Room::none) == Room::all));
  if (written) {
    CHECK(text_of(path) == "ours\n");
    return;
  }
  CHECK(written.error().code == ENOSPC);
  CHECK(text_of(path) == "the text of a\n");
}

}  // namespace agentfs::test
