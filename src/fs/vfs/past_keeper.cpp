// SPDX-License-Identifier: MIT
#include "fs/vfs/past_keeper.h"

#include <algorithm>

#include "base/copy.h"
#include "base/file_times.h"
#include "base/log.h"
#include "base/text.h"
#include "kernel/kept_entry.h"
#include "kernel/tree_change.h"

namespace agentfs::vfs {
namespace {

Kept described(std::uint64_t number, const struct stat& attributes) {
  Kept kept{.number = number};
  kept.row = kept_row(number, "file", attributes);
  return kept;
}

Kept not_kept(const std::string& reason) {
  Kept kept;
  kept.row.set("reason", reason);
  return kept;
}

}  // namespace

Kept PastKeeper::keep_name(const TreeEntry& entry, const std::string& path,
                           bool is_open_for_writing, const PastStore::MoveThere& move) {
  if (!is_on()) return {};
  Kept kept;
  const bool is_file = entry.node->type() == S_IFREG;
  if (auto row = kept_without_bytes(store_, entry, [this] { return past_->next(); })) {
    kept.number = static_cast<std::uint64_t>((*row)["number"].number());
    kept.row = *std::move(row);
  } else if (is_file) {
    kept = keep_file(entry, path, is_open_for_writing, move);
  }
  if (is_file && kept.number != 0) set_identity(kept.row, store_, *entry.node);
  return kept;
}

json::Value PastKeeper::keep_former(const TreeEntry& entry) {
  if (!is_on() || entry.node->type() != S_IFREG || entry.attributes.st_size == 0) return {};
  json::Value row = kept_row(past_->next(), "name", entry.attributes);
  set_identity(row, store_, *entry.node);
  return row;
}

std::optional<std::uint64_t> PastKeeper::keep_moved(const std::string& path,
                                                    const PastStore::MoveThere& move) {
  if (!move || !may_move_) return std::nullopt;
  const auto number = past_->keep_moved(path, move);
  if (number) return *number;
  const int code = number.error().code;
  if (code == EXDEV || code == EINVAL || code == ENOTSUP) may_move_ = false;
  return std::nullopt;
}

Kept PastKeeper::keep_file(const TreeEntry& entry, const std::string& path,
                           bool is_open_for_writing, const PastStore::MoveThere& move) {
  const struct stat& attributes = entry.attributes;
  const std::uint64_t size = solid_bytes(attributes);
  if (const std::string why = services_.why_not_kept(size, false); !why.empty()) {
    return not_kept(why);
  }
  if (is_open_for_writing && services_.why_not_kept(size, true).empty()) {
    Kept copy = keep_bytes(*entry.node, path);
    if (copy.stored || copy.row.is_null()) return copy;
    // By a link, then: who has it open may change it yet, and that is better than nothing.
  }
  const auto moved = keep_moved(path, move);
  KeptFile file{.number = moved.value_or(0), .is_link = true};
  const Status done = moved ? ok() : store_.use_descriptor(*entry.node, [&](int open) -> Status {
    file = TRY(past_->keep_link(open, path));
    return ok();
  });
  if (!done) return not_kept(done.error().message);
  Kept kept = described(file.number, attributes);
  kept.path = path;
  kept.stored = true;
  kept.linked = file.is_link;
  kept.moved = moved.has_value();
  return kept;
}

Kept PastKeeper::keep_bytes(const TreeNode& node, const std::string& path) {
  Kept kept;
  const Status used = store_.use_descriptor(node, [&](int file) {
    kept = keep_bytes(file, path);
    return ok();
  });
  return used ? kept : not_kept(used.error().message);
}

Kept PastKeeper::keep_bytes(int file, const std::string& path) {
  struct stat attributes{};
  if (!is_on() || ::fstat(file, &attributes) != 0 || attributes.st_size == 0) return {};
  const std::uint64_t size = solid_bytes(attributes);
  if (const std::string why = services_.why_not_kept(size, true); !why.empty()) {
    return not_kept(why);
  }
  const auto number = past_->keep_copy(file, path);
  if (!number) return not_kept(number.error().message);
  // It may have grown until then, past the daemon.
  const auto stored = past_->attributes({.number = *number, .path = path});
  if (stored) attributes.st_size = stored->st_size;
  Kept kept = described(*number, attributes);
  kept.path = path;
  kept.stored = true;
  json::set_bytes(kept.row, "path", path);
  return kept;
}

void PastKeeper::take_back(const Kept& kept) {
  if (!kept.stored) return;
  if (const Status dropped = past_->drop({kept.number, kept.path}); !dropped) {
    log::error("past: {}; the next start drops it", dropped.error().message);
  }
}

void PastKeeper::note_moved(const PastName& name, const std::string& path) {
  if (const Status noted = past_->note_moved(name, path); !noted) {
    log::warning("past: {}: is now {}, which a kill would not find: {}", name.number,
                 text::shown(path), noted.error().message);
  }
}

void PastKeeper::note_copy(std::uint64_t inode, const PastName& copy) {
  constexpr std::size_t kMost = 4'096;
  std::unordered_map<std::uint64_t, std::vector<PastName>> forgotten;  // ends after the lock
  const Lock lock(mutex_);
  unsynced_[inode].push_back(copy);
  if (++unsynced_count_ <= kMost) return;
  forgotten.swap(unsynced_);
  unsynced_count_ = 0;
  ++times_forgotten_;
}

Status PastKeeper::sync_copies(std::uint64_t inode) {
  std::vector<PastName> names;
  std::uint64_t forgotten = 0;
  {
    const Lock lock(mutex_);
    if (auto copies = unsynced_.extract(inode)) {
      names = std::move(copies.mapped());
      unsynced_count_ -= names.size();
    }
    if (times_forgotten_ > times_all_synced_) forgotten = times_forgotten_;
  }
  if (forgotten == 0) return names.empty() ? ok() : past_->sync(names);
  TRY(past_->sync_all());
  const Lock lock(mutex_);
  times_all_synced_ = std::max(times_all_synced_, forgotten);
  return ok();
}

void WriteKeeper::settle() { settled_.store(true); }

std::optional<PastName> WriteKeeper::before_write(PastKeeper& keeper, int file,
                                                  const std::function<std::string()>& path,
                                                  off_t offset) {
  if (settled_.load()) return std::nullopt;
  Lock lock(mutex_);
  struct stat attributes{};
  if (settled_.load() || ::fstat(file, &attributes) != 0) return std::nullopt;
  if (offset >= attributes.st_size) return std::nullopt;
  tells_ = tells_changes(attributes);
  const std::string name = path();
  if (!name.empty()) kept_ = keeper.keep_bytes(file, name);
  found_ = attributes;
  if (!kept_.row.is_null()) has_ever_kept_.store(true);
  settled_.store(true);
  return kept_.stored ? std::optional(PastName{kept_.number, kept_.path}) : std::nullopt;
}

Kept WriteKeeper::take_unneeded(int file) {
  Lock lock(mutex_);
  struct stat now{};
  if (!tells_ || kept_.row.is_null() || ::fstat(file, &now) != 0) return {};
  // By the time of change, too, which nobody sets back.
  return is_as_it_was(found_, now) ? std::exchange(kept_, Kept{}) : Kept{};
}

bool WriteKeeper::has_kept() const {
  Lock lock(mutex_);
  return !kept_.row.is_null();
}

Kept WriteKeeper::take() {
  Lock lock(mutex_);
  return std::exchange(kept_, Kept{});
}

void WriteKeeper::follow(PastKeeper& keeper, std::string_view from, std::string_view to,
                         bool is_exchange) {
  Lock lock(mutex_);
  if (!kept_.stored) return;
  const std::string path = json::bytes_of(kept_.row, "path");
  const bool is_here = path.starts_with(fmt::format("{}/", from));
  if (!is_here && !(is_exchange && path.starts_with(fmt::format("{}/", to)))) return;
  const std::string_view old = is_here ? from : to;
  const std::string now = fmt::format("{}{}", is_here ? to : from, path.substr(old.size()));
  json::set_bytes(kept_.row, "path", now);
  if (now != kept_.path) json::set_bytes(kept_.row, "kept_as", kept_.path);
  keeper.note_moved({kept_.number, kept_.path}, now);
}

void WriteKeeper::put_back(Kept kept) {
  Lock lock(mutex_);
  if (kept_.row.is_null()) kept_ = std::move(kept);
}

}  // namespace agentfs::vfs
