// SPDX-License-Identifier: MIT
#include "backends/trees/mark_rows.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

namespace agentfs::trees {
namespace {

constexpr char kRows[] = "marks";
constexpr char kFresh[] = "marks.new";
constexpr int kFlags = O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC;

}  // namespace

Result<std::unique_ptr<MarkRows>> MarkRows::open(int directory) {
  UniqueFd file(::openat(directory, kRows, kFlags, 0600));
  if (!file) return fail_errno("marks of the forest");
  auto rows = std::make_unique<MarkRows>(std::move(file));
  TRY(rows->load(directory));
  return rows;
}

Status MarkRows::load(int directory) {
  const std::string bytes = TRY(file::read(fmt::format("/proc/self/fd/{}", file_.get())));
  const Lock lock(mutex_);
  for (std::size_t at = 0; at + sizeof(Row) <= bytes.size(); at += sizeof(Row)) {
    Row row;
    std::memcpy(&row, bytes.data() + at, sizeof(Row));
    rows_[row.key.inode] = row;
  }
  std::erase_if(rows_, [](const auto& row) { return row.second.is_there == 0; });
  count_ = rows_.size();
  return rows_.size() * sizeof(Row) == bytes.size() ? ok() : rewrite(directory);
}

// What a crash cut short goes with what is out of date.
Status MarkRows::rewrite(int directory) {
  std::string bytes;
  for (const auto& [inode, row] : rows_) {
    bytes.append(reinterpret_cast<const char*>(&row), sizeof(Row));
  }
  UniqueFd fresh(::openat(directory, kFresh, kFlags | O_TRUNC, 0600));
  if (!fresh) return fail_errno(kFresh);
  TRY(file::write_all(fresh.get(), bytes));
  if (::fdatasync(fresh.get()) != 0) return fail_errno(kFresh);
  if (::renameat(directory, kFresh, directory, kRows) != 0) return fail_errno(kRows);
  file_ = std::move(fresh);
  return ok();
}

std::optional<FileMark> MarkRows::find(const Spot& spot) const {
  const auto key = InodeKey::of(spot);
  if (!key) return std::nullopt;
  const Lock lock(mutex_);
  const auto found = rows_.find(key->inode);
  if (found == rows_.end()) return std::nullopt;
  const Row& row = found->second;
  if (row.key != *key && row.key.is_certain()) return std::nullopt;
  FileMark mark{.elsewhere = true};
  if (row.id != 0) mark.id = row.id;
  if (row.names != 0) {
    mark.changed = timespec{row.seconds, row.nanoseconds};
    mark.names = row.names;
  }
  return mark;
}

void MarkRows::put(const Spot& spot, const FileMark& mark) {
  const auto key = InodeKey::of(spot);
  if (!key) return;
  Row row{.key = *key, .is_there = 1, .id = mark.id.value_or(0)};
  if (mark.changed) {
    row.names = mark.names;
    row.seconds = mark.changed->tv_sec;
    row.nanoseconds = mark.changed->tv_nsec;
  }
  write(row);
}

void MarkRows::forget(const Spot& spot) {
  if (const auto key = InodeKey::of(spot)) write({.key = *key});
}

void MarkRows::write(const Row& row) {
  const Lock lock(mutex_);
  if (row.is_there != 0) {
    rows_[row.key.inode] = row;
  } else if (rows_.erase(row.key.inode) == 0) {
    return;
  }
  count_ = rows_.size();
  (void)file::write_all(file_.get(), {reinterpret_cast<const char*>(&row), sizeof(row)});
}

}  // namespace agentfs::trees
