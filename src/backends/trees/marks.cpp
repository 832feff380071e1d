// SPDX-License-Identifier: MIT
#include "backends/trees/marks.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <charconv>

#include "backends/trees/mark_rows.h"
#include "backends/trees/stand_ins.h"
#include "base/text.h"

namespace agentfs::trees {
namespace {

constexpr char kFile[] = "file";
constexpr char kTree[] = "tree";
constexpr char kRoll[] = "roll";
constexpr std::size_t kLongest = 512;

constexpr char kBlocks = '+';
constexpr char kIsHollow[] = "h";
constexpr std::int64_t kByHandle = 1'000'000'000;  // of an InodeKey, in the place of nanoseconds

std::string to_text(const FileMark& mark) {
  const timespec changed = mark.changed.value_or(timespec{});
  return fmt::format("{} {} {} {}{}{}{}", mark.id.value_or(0), mark.changed ? mark.names : 0,
                     changed.tv_sec, changed.tv_nsec,
                     mark.roll ? fmt::format(" {:x}", *mark.roll) : "",
                     mark.hollow ? fmt::format(" {}", kIsHollow) : "",
                     mark.blocks != 0 ? fmt::format(" {}{}", kBlocks, mark.blocks) : "");
}

blkcnt_t blocks_of(const Spot& spot) {
  struct stat its{};
  const int code = spot.directory >= 0
                       ? ::fstatat(spot.directory, spot.name.c_str(), &its, AT_SYMLINK_NOFOLLOW)
                       : ::stat(spot.path.c_str(), &its);
  return code == 0 ? its.st_blocks : 0;
}

std::optional<std::uint64_t> roll_from(std::string_view word) {
  std::uint64_t roll = 0;
  const char* const end = word.data() + word.size();
  const auto [last, error] = std::from_chars(word.data(), end, roll, 16);
  return error == std::errc() && last == end ? std::optional(roll) : std::nullopt;
}

// getxattrat(2), of Linux 6.13, by the number that it has everywhere: a third of the time of the
// way through /proc.
ssize_t get_beside(const Spot& spot, const char* name, char* value, std::size_t size) {
  constexpr long kCall = 464;
  struct {
    std::uint64_t value;
    std::uint32_t size;
    std::uint32_t flags;
  } arguments{reinterpret_cast<std::uintptr_t>(value), static_cast<std::uint32_t>(size), 0};
  return ::syscall(kCall, spot.directory, spot.name.c_str(), AT_SYMLINK_NOFOLLOW, name, &arguments,
                   sizeof arguments);
}

bool can_get_beside() {
  static const bool can = [] {
    const Spot nowhere{.path = {}, .follow = false, .directory = -1, .name = "-"};
    char value = 0;
    return get_beside(nowhere, "user.-", &value, sizeof value) < 0 && errno == EBADF;
  }();
  return can;
}

ssize_t get_attribute(const Spot& spot, const char* name, char* value, std::size_t size) {
  if (spot.directory >= 0 && can_get_beside()) return get_beside(spot, name, value, size);
  return (spot.follow ? ::getxattr : ::lgetxattr)(spot.path.c_str(), name, value, size);
}

}  // namespace

std::optional<InodeKey> InodeKey::of(const Spot& spot) {
  struct statx its{};
  const int flags = spot.follow ? 0 : AT_SYMLINK_NOFOLLOW;
  if (::statx(AT_FDCWD, spot.path.c_str(), flags, STATX_INO | STATX_BTIME, &its) != 0) {
    return std::nullopt;
  }
  if ((its.stx_mask & STATX_BTIME) != 0) {
    return InodeKey{its.stx_ino, its.stx_btime.tv_sec, its.stx_btime.tv_nsec};
  }
  const UniqueFd fd(::open(spot.path.c_str(), O_PATH | O_CLOEXEC | (spot.follow ? 0 : O_NOFOLLOW)));
  const std::uint64_t identity = fd ? file::identity(fd.get()) : 0;
  if (identity == 0) return InodeKey{.inode = its.stx_ino};
  return InodeKey{its.stx_ino, static_cast<std::int64_t>(identity >> 1), kByHandle};
}

bool is_same(const DirectoryKey& a, const DirectoryKey& b) {
  const bool both = !a.handle.bytes.empty() && !b.handle.bytes.empty();
  return a.inode == b.inode && (!both || a.handle == b.handle);
}

std::string to_text(const DirectoryKey& key) {
  const std::string handle = key.handle.bytes.empty() ? "-" : text::hex(key.handle.bytes);
  return fmt::format("{} {} {}", key.inode, key.handle.type, handle);
}

std::optional<DirectoryKey> key_from(std::string_view inode, std::string_view type,
                                     std::string_view handle) {
  const auto number = text::number<ino_t>(inode);
  const auto kind = text::number<int>(type);
  if (!number || !kind) return std::nullopt;
  if (handle == "-") return DirectoryKey{*number, {}};
  auto bytes = text::unhex(handle);
  if (!bytes) return std::nullopt;
  return DirectoryKey{*number, {*kind, std::move(*bytes)}};
}

// --- by the file itself

std::optional<std::string> Marks::get_own(const Spot& spot, const char* name) const {
  char value[kLongest];
  const std::string full = prefix_ + name;
  const ssize_t length = get_attribute(spot, full.c_str(), value, sizeof(value));
  if (length < 0) return std::nullopt;
  return std::string(value, static_cast<std::size_t>(length));
}

int Marks::set_own(const Spot& spot, const char* name, const std::string& value, int flags) const {
  const std::string full = prefix_ + name;
  const auto call = spot.follow ? ::setxattr : ::lsetxattr;
  return call(spot.path.c_str(), full.c_str(), value.data(), value.size(), flags) == 0 ? 0 : errno;
}

int Marks::remove_own(const Spot& spot, const char* name) const {
  const std::string full = prefix_ + name;
  const auto call = spot.follow ? ::removexattr : ::lremovexattr;
  return call(spot.path.c_str(), full.c_str()) == 0 || errno == ENODATA ? 0 : errno;
}

// --- by a stand-in

std::optional<std::string> Marks::get_apart(const Spot& spot, const char* name) const {
  const bool may_be = stand_ins_ != nullptr && stand_ins_->count() != 0;
  const auto stand_in = may_be ? stand_ins_->find(spot) : std::nullopt;
  auto value = stand_in ? get_own(*stand_in, name) : std::nullopt;
  if (!value && (!stand_in || errno == ENOENT)) errno = ENODATA;
  return value;
}

int Marks::set_apart(const Spot& spot, const char* name, const std::string& value) const {
  const auto stand_in = stand_ins_ != nullptr ? stand_ins_->ensure(spot) : std::nullopt;
  if (!stand_in) return ENOSPC;
  return set_own(*stand_in, name, value);
}

void Marks::remove_apart(const Spot& spot, const char* name) const {
  if (!get_apart(spot, name)) return;
  const auto stand_in = stand_ins_->find(spot);
  if (!stand_in || remove_own(*stand_in, name) != 0) return;
  stand_ins_->let_go(*stand_in);
}

bool Marks::make_room(const Spot& spot) const {
  bool has_moved = false;
  for (const char* const name : {kFile, kHollow, kRoll}) {
    const auto value = get_own(spot, name);
    if (!value || set_apart(spot, name, *value) != 0) continue;
    has_moved |= remove_own(spot, name) == 0;
  }
  return has_moved;
}

// --- by either

std::optional<std::string> Marks::get(const Spot& spot, const char* name) const {
  auto value = get_own(spot, name);
  if (!value && errno == ENODATA) value = get_apart(spot, name);
  return value;
}

// What the file has itself goes before what its stand-in has, and so is made to go last.
int Marks::set(const Spot& spot, const char* name, const std::string& value, int flags) const {
  if (flags == XATTR_CREATE && get_apart(spot, name)) return EEXIST;
  const int code = set_own(spot, name, value, flags);
  if (code == 0) remove_apart(spot, name);
  if (code != ENOSPC || set_apart(spot, name, value) != 0) return code;
  return remove_own(spot, name);
}

int Marks::remove(const Spot& spot, const char* name) const {
  remove_apart(spot, name);
  return remove_own(spot, name);
}

FileMark Marks::borne(const Spot& spot) const {
  FileMark mark;
  const auto value = get(spot, kFile);
  if (!value) {
    mark.elsewhere = errno == EACCES || errno == EPERM;
    return mark;
  }
  auto words = text::words(*value);
  if (words.size() > 4 && words.back().front() == kBlocks) {
    mark.blocks = text::number<blkcnt_t>(words.back().substr(1)).value_or(0);
    words.pop_back();
  }
  mark.hollow = words.size() > 4 && words.back() == kIsHollow;
  if (mark.hollow) words.pop_back();
  if (words.size() != 4 && words.size() != 5) return mark;
  if (const auto id = text::number<ino_t>(words[0]); id && *id != 0) mark.id = id;
  const auto names = text::number<nlink_t>(words[1]);
  const auto seconds = text::number<time_t>(words[2]);
  const auto nanoseconds = text::number<long>(words[3]);
  if (names && *names != 0 && seconds && nanoseconds) {
    mark.names = *names;
    mark.changed = timespec{*seconds, *nanoseconds};
  }
  if (words.size() == 5) mark.roll = roll_from(words[4]);
  return mark;
}

// ext4 gives a block to a file whose attributes do not go into its inode any more.
int Marks::set_measured(const Spot& spot, FileMark mark, int flags) const {
  const blkcnt_t before = blocks_of(spot);
  const int code = set(spot, kFile, to_text(mark), flags);
  const blkcnt_t after = code == 0 ? blocks_of(spot) : before;
  if (after <= before) return code;
  mark.blocks += after - before;
  return set(spot, kFile, to_text(mark));
}

int Marks::bear(const Spot& spot, const FileMark& mark, int flags) const {
  int code = 0;
  if (mark.id || mark.changed) {
    code = set_measured(spot, mark, flags);
  } else {
    code = remove(spot, kFile);
    if (code != 0 && !get(spot, kFile) && errno == ENODATA) code = 0;  // there was none
  }
  if (code != 0 || rows_ == nullptr) return code;
  return get(spot, kFile) || errno == ENODATA ? 0 : errno;  // written, but not to be read
}

FileMark Marks::file(const Spot& spot) const {
  if (rows_ != nullptr && !rows_->empty()) {
    if (const auto row = rows_->find(spot)) return *row;
  }
  return borne(spot);
}

// A row goes before what the file bears, and stays until the file could be told the same.
void Marks::set_file(const Spot& spot, const FileMark& mark) const {
  const int code = bear(spot, mark);
  if (rows_ == nullptr) return;
  if (code != 0) {
    rows_->put(spot, mark);
  } else if (!rows_->empty()) {
    rows_->forget(spot);
  }
}

bool Marks::add_file(const Spot& spot, const FileMark& mark) const {
  const bool has_rows = rows_ != nullptr && !rows_->empty();
  if (has_rows && rows_->find(spot)) return false;
  const int code = bear(spot, mark, XATTR_CREATE);
  if (code == 0 || code == EEXIST || rows_ == nullptr) return code != EEXIST;
  const FileMark known = borne(spot);
  if (known.id || known.changed) return false;
  rows_->put(spot, mark);
  return true;
}

// A tree that forked from nothing is shown by the disk's numbers, a fork by that of its line.
Result<std::optional<TreeMark>> Marks::tree(const Spot& directory) const {
  const auto value = get_own(directory, kTree);
  if (!value && (errno == ENODATA || errno == ENOTSUP)) return std::nullopt;
  if (!value) return fail_errno("the mark of a tree");
  const auto words = text::words(*value);
  if (words.size() == 2 || words.size() == 3) {
    const auto line = text::number<std::uint32_t>(words[0]);
    const auto shown = text::number<std::uint32_t>(words[1]);
    const auto turned = text::number<std::uint32_t>(words.size() == 3 ? words[2] : "0");
    const bool fits = line && shown && turned && (*shown == 0 || *shown == *line);
    if (fits) return TreeMark{*line, *shown, *turned};
  }
  return fail(EBADMSG, "the mark of a tree, damaged ({})", text::shown(*value));
}

Status Marks::set_tree(const Spot& directory, const TreeMark& mark) const {
  std::string value = fmt::format("{} {}", mark.line, mark.shown);
  if (mark.turned != 0) value += fmt::format(" {}", mark.turned);
  int code = set_own(directory, kTree, value);
  if (code == ENOSPC && make_room(directory)) code = set_own(directory, kTree, value);
  if (code == ENOSPC) {
    return fail(ENOSPC,
                "the disk is full, or the extended attributes of this workspace's top directory "
                "leave no room for the mark of a tree, of some 40 bytes; removing one would do");
  }
  if (code != 0) return fail_errno(code, "the mark of a tree");
  return ok();
}

// Of one length always, so that a new value needs no more room than the one before.
std::optional<RollMark> Marks::roll(const Spot& directory) const {
  const auto value = get(directory, kRoll);
  const auto words = text::words(value ? std::string_view(*value) : std::string_view());
  if (words.size() != 2) return std::nullopt;
  const auto sum = text::number<std::uint64_t>(words[0]);
  const auto under_way = text::number<std::uint64_t>(words[1]);
  if (!sum || !under_way) return std::nullopt;
  return RollMark{*sum, *under_way};
}

Status Marks::set_roll(const Spot& directory, const RollMark& mark) const {
  const int code = set(directory, kRoll, fmt::format("{:020} {:020}", mark.sum, mark.under_way));
  if (code != 0) return fail_errno(code, "the roll of a directory");
  return ok();
}

void Marks::remove_all(const Spot& spot) const {
  for (const char* const name : {kFile, kHollow, kTree, kRoll}) remove(spot, name);
}

}  // namespace agentfs::trees
