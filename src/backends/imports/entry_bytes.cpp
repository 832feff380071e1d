// SPDX-License-Identifier: MIT
#include "backends/imports/entry_bytes.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "backends/imports/host_directory.h"
#include "base/copy.h"
#include "base/directory.h"
#include "base/file.h"
#include "base/open_regular.h"
#include "base/temporary_name.h"
#include "base/text.h"

namespace agentfs::imports {
namespace {

std::string shown_of(const ImportRecords& records, const Entry& entry) {
  return text::shown(fmt::format("{}/{}", records.source(), entry.path));
}

// No file where there is no copy, or one of another size, which is damage.
Lender::Lent open_kept(const ImportRecords& records, std::size_t number) {
  auto kept = file::open_regular(records.kept_name(number));
  Lender::Lent found{kept ? std::move(*kept) : UniqueFd()};
  const auto entry = records.entry(number);
  const bool is_whole = found.file && entry && ::fstat(found.file.get(), &found.attributes) == 0 &&
                        found.attributes.st_size == entry->state.size;
  if (!is_whole) found.file.reset();
  return found;
}

// As it was recorded.
Result<Lender::Lent> open_there(const ImportRecords& records, const Entry& entry) {
  const std::string shown = shown_of(records, entry);
  const auto host = HostDirectory::open(records.source());
  if (!host) return fail(EBUSY, "{}: {} is not there any more", shown, records.source());
  auto file = host->open(entry.path, O_RDONLY);
  if (!file) return fail(EBUSY, "{}: cannot be read any more: {}", shown, file.error().message);
  Lender::Lent found{.file = std::move(*file)};
  if (::fstat(found.file.get(), &found.attributes) != 0) return fail_errno(shown);
  if (is_unchanged(entry.state, state_from(found.attributes))) return found;
  return fail(EBUSY,
              "{}: has changed since it was imported; `rebase` in .agentfs/ctl takes what it "
              "is now",
              shown);
}

}  // namespace

Result<Lender::Lent> open_entry(const ImportRecords& records, std::size_t number) {
  const auto entry = records.entry(number);
  if (!entry) return fail(EBUSY, "{}: no record {} of it", records.source(), number);
  Lender::Lent kept = open_kept(records, number);
  if (kept.file) return kept;
  if (records.is_newest(number)) return open_there(records, *entry);
  const std::vector<std::size_t> same = records.with_same_bytes(number);
  for (const std::size_t other : same) {
    kept = open_kept(records, other);
    if (kept.file) return kept;
  }
  const auto newest =
      std::ranges::find_if(same, [&](const std::size_t other) { return records.is_newest(other); });
  if (newest != same.end()) return open_there(records, *records.entry(*newest));
  return fail(EBUSY,
              "{}: is something else by now, which was taken over, and nobody has what it was; "
              "a copy from elsewhere in the place of this file would do",
              shown_of(records, *entry));
}

bool are_one_state(const ImportRecords& records, std::size_t one, std::size_t other) {
  const auto first = records.entry(one);
  const auto second = records.entry(other);
  return first && second && has_same_bytes(first->state, second->state) &&
         first->state.changed == second->state.changed;
}

bool are_read_from_one_place(const ImportRecords& records, std::size_t one, std::size_t other) {
  const auto first = records.entry(one);
  const auto second = records.entry(other);
  const auto is_read_by_itself = [&](std::size_t number) {
    return records.is_newest(number) || file::exists(records.kept_name(number));
  };
  return first && second && has_same_bytes(first->state, second->state) &&
         !(is_read_by_itself(one) && is_read_by_itself(other));
}

Status copy_whole(const Lender::Lent& from, int to, const std::string& shown) {
  (void)TRY(copy_bytes(from.file.get(), to, from.attributes));
  struct stat now{};
  if (::fstat(from.file.get(), &now) != 0) return fail_errno(shown);
  if (is_as_it_was(from.attributes, now)) return ok();
  return fail(EBUSY,
              "{}: changed while it was copied; `rebase` in .agentfs/ctl takes what it is now",
              shown);
}

Result<std::uint64_t> keep_entry(const ImportRecords& records, std::size_t number, bool durable) {
  const std::string name = records.kept_name(number);
  const auto entry = records.entry(number);
  if (!entry || !entry->state.is_regular() || open_kept(records, number).file) {
    return std::uint64_t{0};
  }
  const Lender::Lent from = TRY(open_entry(records, number));
  const std::string temporary = fmt::format("{}/{}", records.directory(), temporary_name());
  const UniqueFd to(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!to) return fail_errno(temporary);
  const auto publish = [&]() -> Status {
    TRY(copy_whole(from, to.get(), shown_of(records, *entry)));
    TRY(copy_unseen_xattrs(from.file.get(), to.get()));
    const bool is_synced = !durable || ::fdatasync(to.get()) == 0;
    const bool is_kept = is_synced && ::rename(temporary.c_str(), name.c_str()) == 0;
    return is_kept ? ok() : fail_errno(name);
  };
  const Status kept = publish();
  if (!kept) ::unlink(temporary.c_str());
  TRY(kept);
  return static_cast<std::uint64_t>(entry->state.size);
}

void drop_unfinished(const ImportRecords& records) {
  for (const HostEntry& entry : entries_in(records.directory())) {
    if (!is_temporary_name(entry.name)) continue;
    ::unlink(fmt::format("{}/{}", records.directory(), entry.name).c_str());
  }
}

}  // namespace agentfs::imports
