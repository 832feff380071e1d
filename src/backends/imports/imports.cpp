// SPDX-License-Identifier: MIT
#include "backends/imports/imports.h"

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "backends/imports/entry_bytes.h"
#include "backends/imports/host_directory.h"
#include "backends/imports/host_drift.h"
#include "backends/imports/host_stores.h"
#include "backends/imports/host_writer.h"
#include "backends/imports/import_records.h"
#include "backends/imports/lent_mark.h"
#include "base/copy.h"
#include "base/directory.h"
#include "base/log.h"
#include "base/nanoseconds.h"
#include "base/text.h"

namespace agentfs {
namespace imports {
namespace {

// Bytes of a file that are copied for the past alone.
constexpr std::int64_t kLargestRemoved = std::int64_t{4} << 20;

using RecordsRef = std::shared_ptr<ImportRecords>;

// What git changes in place, and by itself, is ours from the start.
bool is_copied(const std::string& path) { return is_in_git(path) && !is_git_object(path); }

std::string path_of(int fd) { return fmt::format("/proc/self/fd/{}", fd); }

// ACLs are rights, as the mode is; what was made just now may have others, from its directory. The
// others as far as the disk takes them, first: an ACL's mode may be one to set nothing by any more.
Status give_xattrs(int file, const Xattrs& xattrs) {
  TRY(remove_acls(file, xattrs));
  for (const bool acls : {false, true}) {
    for (const auto& [name, value] : xattrs) {
      const bool is_given = is_acl(name) != acls ||
                            ::fsetxattr(file, name.c_str(), value.data(), value.size(), 0) == 0;
      if (!is_given && acls && errno != ENOTSUP) return fail_errno("a lent file");
    }
  }
  return ok();
}

class Imports final : public ImportStore {
 public:
  Imports(std::string directory, std::string trees, bool trusted)
      : directory_(std::move(directory)),
        trees_(std::move(trees)),
        mark_(lent_mark_name(trusted)) {}
  Status load();

  bool lends(int file) const override { return has_any_ && has_lent_mark(file, mark_); }
  bool is_astray() const override { return astray_; }
  std::optional<blkcnt_t> blocks(int file) const override;
  std::optional<bool> lends_one(int file, int other) const override;
  Result<Lent> open(int file) const override;
  std::optional<Place> place(int file) const override;
  Status preserve(const Place& place, bool is_removed) const override;
  Status fill(const Lent& from, int file) const override;
  Status own(int file) const override;
  void release(int file) const override;
  Status copy(int from, int to) const override;

  Result<std::uint32_t> add(const std::string& source) override;
  void remove(std::uint32_t id) override;
  std::vector<std::uint32_t> all() const override;
  Status set_astray(bool astray) override;
  Result<std::string> source(std::uint32_t id) const override { return TRY(get(id))->source(); }
  Result<std::vector<HostDrift>> drift(std::uint32_t id, bool whole) const override;
  Result<std::vector<HostDrift>> drift(std::uint32_t id,
                                       const std::vector<std::string>& paths) const override;
  Status record(std::uint32_t id, const std::vector<HostDrift>& seen) override;
  Status mark(std::uint32_t id, const std::string& note) override;
  std::optional<std::string> marked(std::uint32_t id) const override;
  Status go_back(std::uint32_t id) override { return TRY(get(id))->go_back(); }
  Result<std::size_t> records(std::uint32_t id) const override { return TRY(get(id))->count(); }
  Status go_back(std::uint32_t id, std::size_t records,
                 const std::set<std::string>& paths) override {
    return TRY(get(id))->go_back(records, paths);
  }
  Status unmark(std::uint32_t id) override { return TRY(get(id))->unmark(); }
  Status lend(std::uint32_t id, const std::string& path, int file) const override;
  Result<struct stat> attributes(std::uint32_t id, const std::string& path) const override;
  Result<Xattrs> xattrs(std::uint32_t id, const std::string& path) const override;
  Result<std::string> read_link(std::uint32_t id, const std::string& path) const override;
  Result<Kept> keep(std::uint32_t id, const std::vector<std::string>& paths) override;
  std::vector<std::string> lent(std::uint32_t id) const override;
  Result<std::vector<std::string>> write(std::uint32_t id,
                                         const std::vector<HostChange>& changes) override;
  Result<HostWritten> written(std::uint32_t id,
                              const std::vector<HostChange>& changes) const override;
  Status settle() override;

 private:
  Result<RecordsRef> get(std::uint32_t id) const;
  std::string directory_of(std::uint32_t id) const { return fmt::format("{}/{}", directory_, id); }
  std::string astray_name() const { return fmt::format("{}/{}", directory_, kAstray); }
  std::optional<LentMark> lent(int file) const;

  const std::string directory_;
  const std::string trees_;
  const char* const mark_;
  mutable Mutex<Rank::store> mutex_;
  std::map<std::uint32_t, RecordsRef> all_ GUARDED_BY(mutex_);
  std::uint32_t next_ GUARDED_BY(mutex_) = 1;
  std::atomic<bool> has_any_ = false;
  std::atomic<bool> astray_ = false;
};

Status Imports::load() {
  std::map<std::uint32_t, RecordsRef> found;
  const std::vector<std::uint32_t> needed = imports_with_trees(trees_);
  std::uint32_t last = needed.empty() ? 0 : needed.back();
  for (const HostEntry& entry : TRY(list_if_there(directory_))) {
    const auto id = text::number<std::uint32_t>(entry.name);
    if (!id) continue;
    last = std::max(last, *id);
    const std::string path = fmt::format("{}/{}", directory_, entry.name);
    if (ImportRecords::is_unmade(path, trees_)) continue;
    auto records = ImportRecords::load(path);
    if (!records) {
      log::error("import {}: not served: {}", *id, records.error().message);
      continue;
    }
    found[*id] = std::move(*records);
  }
  has_any_ = last != 0 || file::exists(directory_);  // what lends may be a removed one, and lost
  astray_ = file::exists(astray_name());
  const Lock lock(mutex_);
  next_ = last + 1;
  all_ = std::move(found);
  return ok();
}

Result<RecordsRef> Imports::get(std::uint32_t id) const {
  const Lock lock(mutex_);
  const auto found = all_.find(id);
  if (found != all_.end()) return found->second;
  return fail(ENOENT, "import {}: nothing is known of it any more", id);
}

// --- lent files

std::optional<LentMark> Imports::lent(int file) const {
  const auto mark = lent_mark(file, mark_);
  if (!mark || !mark->check) return mark;
  const auto records = get(mark->import);
  const auto entry = records ? (*records)->entry(mark->entry) : std::nullopt;
  return !entry || mark->leads_to(*entry) ? mark : LentMark();
}

std::optional<blkcnt_t> Imports::blocks(int file) const {
  const auto mark = has_any_ ? lent_mark(file, mark_) : std::nullopt;
  return mark ? mark->blocks : std::nullopt;
}

std::optional<bool> Imports::lends_one(int file, int other) const {
  const auto one = has_any_ ? lent(file) : std::nullopt;
  const auto two = one ? lent(other) : std::nullopt;
  if (!two || one->import == 0 || one->import != two->import) return std::nullopt;
  if (one->entry == two->entry) return true;
  const auto records = get(one->import);
  if (!records) return std::nullopt;
  if (are_one_state(**records, one->entry, two->entry)) return true;
  const bool is_apart = are_read_from_one_place(**records, one->entry, two->entry);
  return is_apart ? std::optional(false) : std::nullopt;
}

Result<Lender::Lent> Imports::open(int file) const {
  const auto which = lent(file);
  if (!which && lends(file)) return fail_errno(EACCES, "a lent file");
  if (!which) return fail(EINVAL, "a file that is not lent");
  auto records = get(which->import);
  if (!records) return fail(EBUSY, "{}", records.error().message);
  return open_entry(**records, which->entry);
}

std::optional<Lender::Place> Imports::place(int file) const {
  const auto which = has_any_ ? lent(file) : std::nullopt;
  if (!which) return std::nullopt;
  return Place{which->import, which->entry};
}

Status Imports::preserve(const Place& place, bool is_removed) const {
  const RecordsRef records = TRY(get(place.import));
  const auto entry = records->entry(place.entry);
  if (is_removed && entry && entry->state.size > kLargestRemoved) return ok();
  (void)TRY(keep_entry(*records, place.entry, !is_removed));
  return ok();
}

Status Imports::fill(const Lent& from, int file) const {
  const FileCapabilities had(file);  // which the host's kernel takes from what is written
  TRY(copy_whole(from, file, "a file of an imported directory"));
  had.give(file);
  return ::fdatasync(file) == 0 ? ok() : fail_errno("a lent file");
}

// The bytes are on the disk before the mark goes: until then they are looked for elsewhere.
Status Imports::own(int file) const {
  if (!lends(file)) return ok();
  return ::fremovexattr(file, mark_) == 0 ? ok() : fail_errno("a lent file");
}

void Imports::release(int file) const {
  if (has_any_) ::removexattr(path_of(file).c_str(), mark_);
}

Status Imports::copy(int from, int to) const {
  const auto which = lent(from);
  struct stat attributes{};
  if (!which || ::fstat(from, &attributes) != 0) return fail_errno("a lent file");
  const bool is_lent = imports::lend(to, attributes.st_size, mark_, *which);
  return is_lent ? ok() : fail_errno("a copy of a lent file");
}

// --- imports

Result<std::uint32_t> Imports::add(const std::string& source) {
  const FileState top = TRY(TRY(HostDirectory::open(source)).look(""));
  TRY(file::make_directories(directory_, 0700));
  std::uint32_t id = 0;
  {
    const Lock lock(mutex_);
    id = next_++;
  }
  auto records = ImportRecords::create(directory_of(id), source, top);
  if (!records) {
    remove(id);
    return std::unexpected(std::move(records).error());
  }
  const Lock lock(mutex_);
  all_[id] = std::move(*records);
  has_any_ = true;
  return id;
}

void Imports::remove(std::uint32_t id) {
  const Lock lock(mutex_);
  all_.erase(id);
  std::error_code ignored;
  std::filesystem::remove_all(directory_of(id), ignored);
}

std::vector<std::uint32_t> Imports::all() const {
  const Lock lock(mutex_);
  std::vector<std::uint32_t> ids;
  for (const auto& [id, records] : all_) ids.push_back(id);
  return ids;
}

Status Imports::set_astray(bool astray) {
  const bool is_known = astray == file::exists(astray_name());
  if (!is_known) TRY(astray ? file::replace(astray_name(), "", 0600) : file::remove(astray_name()));
  astray_ = astray;
  return ok();
}

Result<std::vector<HostDrift>> Imports::drift(std::uint32_t id, bool whole) const {
  const RecordsRef records = TRY(get(id));
  return drift_of_all(*records, TRY(source_of(*records)), whole);
}

Result<std::vector<HostDrift>> Imports::drift(std::uint32_t id,
                                              const std::vector<std::string>& paths) const {
  const RecordsRef records = TRY(get(id));
  return drift_of(*records, TRY(source_of(*records)), paths);
}

Status Imports::record(std::uint32_t id, const std::vector<HostDrift>& seen) {
  return record_settled(*TRY(get(id)), seen);
}

Status Imports::mark(std::uint32_t id, const std::string& note) { return TRY(get(id))->mark(note); }

std::optional<std::string> Imports::marked(std::uint32_t id) const {
  const auto records = get(id);
  return records ? (*records)->marked() : std::nullopt;
}

Status Imports::lend(std::uint32_t id, const std::string& path, int file) const {
  const RecordsRef records = TRY(get(id));
  const auto number = records->find(path);
  if (!number) return fail(ENOENT, "{}: not recorded", text::shown(path));
  const auto host = TRY(HostDirectory::open(records->source()));
  const FileState state = records->state(path);
  const auto there = host.open(path, O_PATH);
  const bool is_gone = !there && there.error().code == ENOENT && !is_copied(path);
  if (!there && !is_gone) return std::unexpected(there.error());
  struct stat attributes{};
  if (::fstat(is_gone ? file : there->get(), &attributes) != 0) return fail_errno(host.shown(path));
  if (is_gone) attributes.st_mode = state.mode;
  attributes.st_size = state.size;
  attributes.st_mtim = time_of(state.modified);
  if (is_copied(path)) {
    TRY(copy_whole(TRY(open_entry(*records, *number)), file, host.shown(path)));
  } else if (state.size != 0) {
    LentMark mark{.import = id, .entry = *number};
    mark.blocks = blocks_between_holes(host, path, attributes);
    mark.check = mark.check_of({path, state});
    const bool is_lent = imports::lend(file, state.size, mark_, mark);
    if (!is_lent) return fail_errno(host.shown(path));
  }
  const Xattrs xattrs = is_gone ? Xattrs() : brought_xattrs(there->get());
  TRY(give_xattrs(file, xattrs));
  TRY(set_attributes(file, attributes));
  if (const auto found = xattrs.find(kCapabilityName); found != xattrs.end()) {
    // A change of the owner took them away.
    (void)::fsetxattr(file, kCapabilityName, found->second.data(), found->second.size(), 0);
  }
  return ok();
}

Result<struct stat> Imports::attributes(std::uint32_t id, const std::string& path) const {
  const auto host = TRY(HostDirectory::open(TRY(get(id))->source()));
  const UniqueFd fd = TRY(host.open(path, O_PATH));
  struct stat attributes{};
  if (::fstat(fd.get(), &attributes) != 0) return fail_errno(host.shown(path));
  return attributes;
}

Result<Xattrs> Imports::xattrs(std::uint32_t id, const std::string& path) const {
  return TRY(HostDirectory::open(TRY(get(id))->source())).xattrs(path);
}

Result<std::string> Imports::read_link(std::uint32_t id, const std::string& path) const {
  return TRY(HostDirectory::open(TRY(get(id))->source())).read_link(path);
}

Result<ImportStore::Kept> Imports::keep(std::uint32_t id, const std::vector<std::string>& paths) {
  const RecordsRef records = TRY(get(id));
  const auto host = source_of(*records);
  if (!host && host.error().code == ENODEV) return std::unexpected(host.error());
  Kept all;
  for (const std::string& path : records->with_links(paths)) {
    const auto number = records->find(path);
    if (!number) continue;
    const auto kept = keep_entry(*records, *number, true);
    if (!kept && kept.error().code != EBUSY) return std::unexpected(kept.error());
    if (!kept) all.lost.push_back(path);
    all.bytes += kept.value_or(0);
  }
  return all;
}

std::vector<std::string> Imports::lent(std::uint32_t id) const {
  const auto records = get(id);
  std::vector<std::string> paths = records ? (*records)->files() : std::vector<std::string>();
  std::erase_if(paths, is_copied);
  return paths;
}

Result<std::vector<std::string>> Imports::write(std::uint32_t id,
                                                const std::vector<HostChange>& changes) {
  const RecordsRef records = TRY(get(id));
  const auto host = TRY(source_of(*records));
  TRY(remove_leftovers(*records));
  HostWriter writer(*records, host, changes);
  TRY(writer.check());
  TRY(writer.stage());
  TRY(writer.apply());
  return writer.left();
}

Result<HostWritten> Imports::written(std::uint32_t id,
                                     const std::vector<HostChange>& changes) const {
  const RecordsRef records = TRY(get(id));
  return drift_of_written(*records, TRY(source_of(*records)), changes);
}

Status Imports::settle() {
  for (const std::uint32_t id : all()) {
    const RecordsRef records = TRY(get(id));
    drop_unfinished(*records);
    TRY(remove_leftovers(*records));
  }
  ImportRecords::remove_unmade(directory_, trees_);
  return ok();
}

}  // namespace
}  // namespace imports

Result<std::unique_ptr<ImportStore>> open_imports(const std::string& directory,
                                                  const std::string& trees, bool trusted) {
  auto store = std::make_unique<imports::Imports>(directory, trees, trusted && ::geteuid() == 0);
  TRY(store->load());
  return store;
}

}  // namespace agentfs
