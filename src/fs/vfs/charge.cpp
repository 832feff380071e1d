// SPDX-License-Identifier: MIT
#include "fs/vfs/charge.h"

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "base/blocks.h"
#include "base/text.h"
#include "fs/vfs/data_file.h"

namespace agentfs::vfs {
namespace {

std::uint64_t down(std::uint64_t offset) { return offset / kBlock * kBlock; }

struct Range {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t shared_with(std::uint64_t from, std::uint64_t to) const {
    return std::max(begin, std::min(end, to)) - std::min(end, std::max(begin, from));
  }
};

// What of the range the disk has given, as its map of the file tells: what was allocated and not
// written yet is in it. Nothing where the disk has no such map.
std::optional<std::uint64_t> mapped(int file, const Range& range) {
  constexpr unsigned kExtents = 32;
  alignas(fiemap) char room[sizeof(fiemap) + kExtents * sizeof(fiemap_extent)];
  std::uint64_t total = 0;
  for (std::uint64_t at = range.begin; at < range.end;) {
    std::memset(room, 0, sizeof room);
    auto* const map = reinterpret_cast<fiemap*>(room);
    map->fm_start = at;
    map->fm_length = range.end - at;
    map->fm_extent_count = kExtents;
    if (::ioctl(file, FS_IOC_FIEMAP, map) != 0) return std::nullopt;
    const auto* const extents = reinterpret_cast<const fiemap_extent*>(room + sizeof(fiemap));
    for (unsigned i = 0; i < map->fm_mapped_extents; ++i) {
      const fiemap_extent& one = extents[i];
      total += range.shared_with(std::max(at, static_cast<std::uint64_t>(one.fe_logical)),
                                 one.fe_logical + one.fe_length);
    }
    if (map->fm_mapped_extents < kExtents) break;
    const fiemap_extent& last = extents[kExtents - 1];
    at = last.fe_logical + last.fe_length;
  }
  return total;
}

// The same by its holes; what was allocated and not written is one of those, too.
std::uint64_t written(int file, const Range& range) {
  std::uint64_t total = 0;
  for (auto at = static_cast<off_t>(range.begin); static_cast<std::uint64_t>(at) < range.end;) {
    const off_t data = ::lseek(file, at, SEEK_DATA);
    if (data < 0) break;
    const off_t hole = ::lseek(file, data, SEEK_HOLE);
    if (hole < 0) break;
    total += range.shared_with(down(static_cast<std::uint64_t>(data)),
                               whole_blocks(static_cast<std::uint64_t>(hole)));
    at = hole;
  }
  return total;
}

std::uint64_t bytes_of(const struct stat& status) {
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

// By how much the file would grow on the disk if all of the range were written.
std::uint64_t growth_of(int file, const Range& range) {
  const std::uint64_t length = range.end - range.begin;
  if (const auto given = mapped(file, range)) return length - std::min(length, *given);
  const std::uint64_t holes = length - std::min(length, written(file, range));
  struct stat status{};
  if (::fstat(file, &status) != 0) return holes;
  // Beyond what it would have without any hole it does not grow.
  const std::uint64_t whole =
      std::max(whole_blocks(static_cast<std::uint64_t>(status.st_size)), range.end);
  return std::min(holes, whole - std::min(whole, bytes_of(status)));
}

}  // namespace

Charge::Charge(DataTree& tree, Request* request)
    : tree_(tree),
      table_(tree.quotas()),
      request_(request),
      side_(table_.enter()),
      is_on_(table_.is_active()),
      walk_before_(is_on_ ? table_.walking() : 0) {}

Charge::~Charge() {
  for (const Watched& watched : watched_) {
    if (watched.is_written) {
      table_.look_at_bytes(*watched.node);
    } else {
      table_.look(*watched.node, watched.why);
    }
  }
  for (auto& directory : moved_) table_.directory_moved(std::move(directory), walk_before_);
  table_.ledger().give_back(reservation_);
  table_.leave(side_);
}

Status Charge::tell(Status room, const DataNode& node) {
  if (!room && request_ != nullptr) {
    table_.services().note_error(request_->caller(), node.path(), room.error());
  }
  return room;
}

Status Charge::reserve(const QuotaLedger::Payers& payers, QuotaLedger::Growth growth) {
  for (;;) {
    QuotaLedger::Refusal refusal;
    switch (table_.ledger().reserve(payers, growth, reservation_, refusal)) {
      case QuotaLedger::Room::reserved:
        return ok();
      case QuotaLedger::Room::refused:
        return no_room(refusal);
      case QuotaLedger::Room::again:
        break;
    }
  }
}

// What it was before has to be known before it changes: what is expected of a tree that is still
// being counted holds it, too.
void Charge::know(DataNode& node) {
  if (!table_.ledger().find({&node.tree(), node.file().inode()})) {
    table_.look(node, QuotaTable::Why::changed);
  }
}

bool Charge::covers(const DataNode& node) { return is_on_ && table_.covers(node); }

void Charge::watch(DataNode& node, QuotaTable::Why why) {
  know(node);
  watched_.push_back({node.self(), why});
}

Status Charge::make(DataNode& directory, std::uint64_t bytes) {
  return add(directory, {.bytes = whole_blocks(bytes), .inodes = 1, .is_name = true});
}

Status Charge::link(DataNode& directory) { return add(directory, {.is_name = true}); }

Status Charge::add(DataNode& directory, QuotaLedger::Growth growth) {
  if (!covers(directory)) return ok();
  watch(directory, QuotaTable::Why::changed);
  const bool as_caller = ::geteuid() == 0 && request_ != nullptr;
  const uid_t uid = as_caller ? request_->tree().uid : ::geteuid();
  return tell(reserve({std::string(text::first_parts(directory.path(), 2)), uid}, growth),
              directory);
}

Status Charge::write(DataNode& node, int file, off_t offset, std::uint64_t length) {
  if (!covers(node)) return ok();
  know(node);
  watched_.push_back({node.self(), QuotaTable::Why::changed, true});
  if (length == 0) return ok();
  const auto begin = static_cast<std::uint64_t>(offset);
  const Range range{down(begin), whole_blocks(begin + length)};
  const FileKey key{&tree_, node.file().inode()};
  // At first all of it; the file is asked where that does not fit.
  for (std::uint64_t growth = range.end - range.begin;; growth = growth_of(file, range)) {
    QuotaLedger::Refusal refusal;
    const bool is_exact = growth != range.end - range.begin;
    switch (table_.ledger().reserve(key, {growth, 0}, reservation_, refusal)) {
      case QuotaLedger::Room::reserved:
        return ok();
      case QuotaLedger::Room::again:
        break;
      case QuotaLedger::Room::refused:
        if (is_exact || growth_of(file, range) == growth) return tell(no_room(refusal), node);
    }
  }
}

Status Charge::attribute(DataNode& node, std::uint64_t bytes) {
  if (!covers(node)) return ok();
  watch(node, QuotaTable::Why::changed);
  QuotaLedger::Refusal refusal;
  const FileKey key{&tree_, node.file().inode()};
  for (;;) {
    const auto room = table_.ledger().reserve(key, {whole_blocks(bytes), 0}, reservation_, refusal);
    if (room == QuotaLedger::Room::reserved) return ok();
    if (room == QuotaLedger::Room::refused) return tell(no_room(refusal), node);
  }
}

Status Charge::give(DataNode& node, uid_t user) {
  if (!covers(node)) return ok();
  watch(node, QuotaTable::Why::changed);
  const auto status = node.status();
  if (!status || status->st_uid == user) return ok();
  return tell(reserve({.tree = {}, .user = user}, {bytes_of(*status), 1}), node);
}

std::shared_ptr<DataNode> Charge::find(DataNode& directory, const std::string& name) {
  const auto entry = tree_.store().lookup(directory.file(), name);
  return entry ? tree_.ensure(*entry, region_of(directory.region(), name)) : nullptr;
}

void Charge::touch(DataNode& node) {
  if (covers(node)) watch(node, QuotaTable::Why::changed);
}

void Charge::made(std::shared_ptr<DataNode> node) {
  if (covers(*node)) watched_.push_back({std::move(node), QuotaTable::Why::made});
}

// As if it had had a name, and lost it.
void Charge::made_nameless(const DataNode& directory, std::shared_ptr<DataNode> node) {
  if (!covers(directory)) return;
  table_.count_new(*node, node->place());
  watched_.push_back({std::move(node), QuotaTable::Why::removed});
}

void Charge::remove(DataNode& directory, const std::string& name) {
  if (!covers(directory)) return;
  watch(directory, QuotaTable::Why::changed);
  if (const auto node = find(directory, name)) watch(*node, QuotaTable::Why::removed);
}

// Between two trees the one that gets more pays for it; what it replaces is given back first, but
// for what is open still or has other names.
Status Charge::rename(const Name& from, const Name& to, unsigned flags) {
  if (!covers(from.directory) && !covers(to.directory)) return ok();
  const auto node = find(from.directory, from.name);
  const auto other = find(to.directory, to.name);
  if (node == nullptr) return ok();
  const bool exchanges = (flags & RENAME_EXCHANGE) != 0;
  for (DataNode* const directory : {&from.directory, &to.directory}) {
    watch(*directory, QuotaTable::Why::changed);
  }
  watch(*node, QuotaTable::Why::changed);
  if (other != nullptr) {
    watch(*other, exchanges ? QuotaTable::Why::changed : QuotaTable::Why::removed);
  }
  for (const auto& one : {node, exchanges ? other : nullptr}) {
    if (one != nullptr && one->type() == S_IFDIR) moved_.push_back(one);
  }
  const std::string source(text::first_parts(from.directory.path(), 2));
  const std::string target(text::first_parts(to.directory.path(), 2));
  const auto status = node->status();
  if (source == target || !status) return ok();
  if (node->is_written_past() && covers(to.directory)) {
    return tell(fail(EXDEV,
                     "{}: is open for writing past the daemon, which a limit would not see; a copy "
                     "would do, or closing it first",
                     text::shown(node->path())),
                to.directory);
  }
  const std::uint64_t more = bytes_of(*status);
  const auto there = other != nullptr ? other->status() : fail(ENOENT, "nothing");
  const bool gives_back = there && (exchanges || (there->st_nlink <= 1 && other->opens() == 0));
  const std::uint64_t less = gives_back ? bytes_of(*there) : 0;
  const bool is_back = exchanges && less > more;
  const QuotaLedger::Growth growth{is_back ? less - more : more - std::min(more, less),
                                   gives_back ? 0U : 1U};
  return tell(reserve({.tree = is_back ? source : target, .user = {}}, growth), to.directory);
}

OpenCount::OpenCount(std::shared_ptr<DataNode> node, DataHandle* writer)
    : node_(std::move(node)), writer_(writer) {
  node_->count_open(1);
  if (writer_ != nullptr) node_->tree().add_writer(node_, *writer_);
}

OpenCount::~OpenCount() {
  node_->count_open(-1);
  if (writer_ != nullptr) node_->tree().remove_writer(node_, *writer_);
  node_->tree().quotas().closed(*node_, writer_ != nullptr);
}

void show_limits(QuotaTable& table, const std::string& path, struct statvfs& statistics) {
  if (!table.is_active()) return;
  const auto state = table.ledger().state(std::string(text::first_parts(path, 2)));
  if (!state) return;
  const auto left = [](std::uint64_t limit, std::uint64_t held) {
    return limit - std::min(limit, held);
  };
  if (state->limit.bytes != 0 && statistics.f_frsize != 0) {
    const std::uint64_t block = statistics.f_frsize;
    const std::uint64_t free = left(state->limit.bytes, state->held.bytes) / block;
    statistics.f_blocks = std::min<fsblkcnt_t>(statistics.f_blocks, state->limit.bytes / block);
    statistics.f_bfree = std::min<fsblkcnt_t>(statistics.f_bfree, free);
    statistics.f_bavail = std::min<fsblkcnt_t>(statistics.f_bavail, free);
  }
  if (state->limit.inodes != 0) {
    const std::uint64_t free = left(state->limit.inodes, state->held.inodes);
    const bool is_told = statistics.f_files != 0;  // not by disks without a number of inodes
    const auto lesser = [&](fsfilcnt_t disk, std::uint64_t ours) {
      return is_told ? std::min<fsfilcnt_t>(disk, ours) : ours;
    };
    statistics.f_files = lesser(statistics.f_files, state->limit.inodes);
    statistics.f_ffree = lesser(statistics.f_ffree, free);
    statistics.f_favail = lesser(statistics.f_favail, free);
  }
}

}  // namespace agentfs::vfs
