// SPDX-License-Identifier: MIT
#include "backends/imports/import_records.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <ranges>

#include "backends/import_names.h"
#include "base/directory.h"
#include "base/free_path.h"
#include "base/json.h"
#include "base/log.h"
#include "base/nanoseconds.h"
#include "base/permissions.h"
#include "base/text.h"

namespace agentfs::imports {
namespace {

std::string line_of(const Entry& entry) {
  json::Value value;
  json::set_bytes(value, "path", entry.path);
  put_state(value, entry.state);
  return json::dump(value) + "\n";
}

Result<Entry> entry_from(std::string_view line) {
  const json::Value value = TRY(json::parse(line));
  return Entry{json::bytes_of(value, "path"), state_in(value)};
}

}  // namespace

bool is_unchanged(const FileState& one, const FileState& other) {
  if (one.type() != other.type()) return false;
  if (!one.exists()) return true;
  const bool same_mode = (one.mode & kPermissions) == (other.mode & kPermissions);
  if (one.is_directory()) return same_mode;
  return same_mode && one.inode == other.inode && one.size == other.size &&
         one.modified == other.modified && one.changed == other.changed;
}

// The disk gives the number of a file that has gone to the next that is made, and the directory at
// its top has the number that it has on any.
bool is_one_inode(const FileState& one, const FileState& other) {
  const bool made_at_once = one.made == other.made || one.made == 0 || other.made == 0;
  return one.inode == other.inode && made_at_once;
}

bool has_same_bytes(const FileState& one, const FileState& other) {
  return one.exists() && !one.is_directory() && one.type() == other.type() &&
         is_one_inode(one, other) && one.size == other.size && one.modified == other.modified;
}

void put_state(json::Value& value, const FileState& state) {
  if (!state.exists()) return;
  value.set("mode", state.mode).set("inode", state.inode).set("size", state.size);
  value.set("modified", state.modified).set("changed", state.changed);
  if (state.made != 0) value.set("made", state.made);
}

FileState state_in(const json::Value& value) {
  FileState state;
  state.mode = static_cast<mode_t>(value["mode"].number());
  state.inode = static_cast<std::uint64_t>(value["inode"].number());
  state.size = value["size"].number();
  state.modified = value["modified"].number();
  state.changed = value["changed"].number();
  state.made = value["made"].number();
  return state;
}

FileState state_from(const struct stat& attributes) {
  FileState state;
  state.mode = attributes.st_mode;
  state.device = attributes.st_dev;
  state.inode = attributes.st_ino;
  state.size = attributes.st_size;
  state.modified = nanoseconds_of(attributes.st_mtim);
  state.changed = nanoseconds_of(attributes.st_ctim);
  return state;
}

Result<std::shared_ptr<ImportRecords>> ImportRecords::create(const std::string& directory,
                                                             const std::string& source,
                                                             const FileState& top) {
  TRY(file::make_directories(directory + "/kept", 0700));
  TRY(file::replace(directory + "/entries", "", 0600));
  json::Value about;
  json::set_bytes(about, "source", source);
  about.set("inode", top.inode).set("made", top.made);
  TRY(file::replace(directory + "/about", json::dump(about) + "\n", 0600));
  return std::shared_ptr<ImportRecords>(new ImportRecords(directory, source, top));
}

// `about` comes last. Where it was lost later there are records, what was kept, or a tree, which is
// made after all of these.
bool ImportRecords::is_unmade(const std::string& directory, const std::string& trees) {
  const std::string entries = directory + "/entries";
  const auto kept = list_if_there(directory + "/kept");
  const bool has_kept = !kept || !kept->empty();
  const auto id = text::number<std::uint32_t>(text::last_part(directory));
  if (!id || file::exists(fmt::format("{}/{}", trees, import_names::tree_of(*id)))) return false;
  if (has_kept || !file::is_absent(directory + "/about")) return false;
  const auto recorded = file::is_absent(entries) ? std::string() : file::read(entries);
  return recorded && recorded->empty();
}

void ImportRecords::remove_unmade(const std::string& imports, const std::string& trees) {
  for (const HostEntry& entry : entries_in(imports)) {
    std::error_code ignored;
    const std::string path = fmt::format("{}/{}", imports, entry.name);
    if (is_unmade(path, trees)) std::filesystem::remove_all(path, ignored);
  }
}

Result<std::shared_ptr<ImportRecords>> ImportRecords::load(const std::string& directory) {
  const json::Value about = TRY(json::parse(TRY(file::read(directory + "/about"))));
  std::shared_ptr<ImportRecords> records(
      new ImportRecords(directory, json::bytes_of(about, "source"), state_in(about)));
  const std::string name = records->entries_name();
  const std::string text = TRY(file::read(name));
  const std::size_t whole = text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1;
  const Lock lock(records->mutex_);
  for (const std::string_view line : text::split(std::string_view(text).substr(0, whole), '\n')) {
    if (line.empty()) continue;
    auto entry = entry_from(line);
    if (!entry) {
      return fail(EBADMSG, "{}: line {} is no record: {}", name, records->entries_.size() + 1,
                  entry.error().message);
    }
    records->put(std::move(*entry));
  }
  if (whole != text.size()) {
    records->load_end(std::string_view(text).substr(whole), static_cast<off_t>(whole));
  }
  TRY(records->load_mark());
  return records;
}

// A line that a crash cut short is of a call that never returned. One that is whole but for what
// ends it may be of one that did.
void ImportRecords::load_end(std::string_view end, off_t at) {
  const std::size_t brace = end.rfind('}');
  const std::size_t length = brace == std::string_view::npos ? 0 : brace + 1;
  auto entry = entry_from(end.substr(0, length));
  const std::size_t record = entry ? length : 0;
  if (entry) put(std::move(*entry));
  torn_ = Torn{at + static_cast<off_t>(record), std::string(end.substr(record))};
}

std::optional<std::size_t> ImportRecords::torn() const {
  const Lock lock(mutex_);
  return torn_ ? std::optional(torn_->bytes.size()) : std::nullopt;
}

// Where the record before has no end either, it gets one in the place of the first of these bytes.
Result<std::string> ImportRecords::set_torn_aside() {
  Torn torn;
  {
    const Lock lock(mutex_);
    if (!torn_) return std::string();
    torn = *torn_;
  }
  const std::string kept = free_path(fmt::format("{}/torn-{}", directory_, torn.at));
  TRY(file::replace(kept, torn.bytes, 0600));
  const UniqueFd fd(::open(entries_name().c_str(), O_RDWR | O_CLOEXEC));
  if (!fd) return fail_errno(entries_name());
  char before = '\n';
  const bool is_read = torn.at == 0 || ::pread(fd.get(), &before, 1, torn.at - 1) == 1;
  const bool is_ended = !is_read || before == '\n' || ::pwrite(fd.get(), "\n", 1, torn.at) == 1;
  const off_t end = torn.at + (before == '\n' ? 0 : 1);
  if (!is_read || !is_ended || ::ftruncate(fd.get(), end) != 0 || ::fdatasync(fd.get()) != 0) {
    return fail_errno(entries_name());
  }
  log::warning("{}: did not end with a line; {} bytes that are no record are kept in {}",
               entries_name(), torn.bytes.size(), kept);
  const Lock lock(mutex_);
  torn_.reset();
  return kept;
}

Status ImportRecords::load_mark() {
  if (!file::exists(mark_name())) return ok();
  const auto value = json::parse(TRY(file::read(mark_name())));
  const std::int64_t entries = value ? (*value)["entries"].number(-1) : -1;
  if (entries < 0 || static_cast<std::size_t>(entries) > entries_.size()) {
    return fail(EBADMSG, "{}: is no mark of one of {} records", mark_name(), entries_.size());
  }
  mark_ = Mark{static_cast<std::size_t>(entries), json::bytes_of(*value, "note")};
  return ok();
}

std::string ImportRecords::kept_name(std::size_t number) const {
  return fmt::format("{}/{}", kept_directory(), number);
}

void ImportRecords::put(Entry entry) {
  if (entry.state.exists()) {
    newest_[entry.path] = entries_.size();
  } else {
    newest_.erase(entry.path);
  }
  entries_.push_back(std::move(entry));
}

std::optional<Entry> ImportRecords::entry(std::size_t number) const {
  const Lock lock(mutex_);
  return number < entries_.size() ? std::optional(entries_[number]) : std::nullopt;
}

std::optional<std::size_t> ImportRecords::find(const std::string& path) const {
  const Lock lock(mutex_);
  const auto found = newest_.find(path);
  return found == newest_.end() ? std::nullopt : std::optional(found->second);
}

bool ImportRecords::is_newest(std::size_t number) const {
  const Lock lock(mutex_);
  if (number >= entries_.size()) return false;
  const auto found = newest_.find(entries_[number].path);
  return found != newest_.end() && found->second == number;
}

std::vector<std::size_t> ImportRecords::with_same_bytes(std::size_t number) const {
  const Lock lock(mutex_);
  const FileState& state = entries_.at(number).state;
  std::vector<std::size_t> found;
  for (std::size_t other = entries_.size(); other-- > 0;) {
    if (has_same_bytes(state, entries_[other].state)) found.push_back(other);
  }
  return found;
}

FileState ImportRecords::state(const std::string& path) const {
  const Lock lock(mutex_);
  const auto found = newest_.find(path);
  return found == newest_.end() ? FileState() : entries_[found->second].state;
}

std::map<std::string, FileState> ImportRecords::current() const {
  const Lock lock(mutex_);
  std::map<std::string, FileState> all;
  for (const auto& [path, number] : newest_)
    all.emplace_hint(all.end(), path, entries_[number].state);
  return all;
}

std::vector<std::string> ImportRecords::files() const {
  std::vector<std::string> paths;
  for (const auto& [path, state] : current()) {
    if (state.is_regular()) paths.push_back(path);
  }
  return paths;
}

std::set<std::string> ImportRecords::with_links(const std::vector<std::string>& paths) const {
  std::set<std::string> all(paths.begin(), paths.end());
  std::map<std::uint64_t, FileState> files;
  for (const std::string& path : paths) {
    const FileState known = state(path);
    if (known.exists() && !known.is_directory()) files.emplace(known.inode, known);
  }
  for (const auto& [path, known] : current()) {
    const auto file = files.find(known.inode);
    if (file != files.end() && has_same_bytes(file->second, known)) all.insert(path);
  }
  return all;
}

// --- until it is known what counts

Status ImportRecords::mark(const std::string& note) {
  Mark mark{.note = note};
  {
    const Lock lock(mutex_);
    mark.entries = entries_.size();
  }
  json::Value value;
  value.set("entries", mark.entries);
  json::set_bytes(value, "note", note);
  TRY(file::remove(written_name()));
  TRY(file::replace(mark_name(), json::dump(value) + "\n", 0600));
  const Lock lock(mutex_);
  mark_ = std::move(mark);
  return ok();
}

std::optional<std::string> ImportRecords::marked() const {
  const Lock lock(mutex_);
  return mark_ ? std::optional(mark_->note) : std::nullopt;
}

std::map<std::string, FileState> ImportRecords::first(std::size_t entries) const {
  std::map<std::string, FileState> all;
  const auto count = static_cast<std::ptrdiff_t>(std::min(entries, entries_.size()));
  for (const Entry& entry : entries_ | std::views::take(count)) {
    if (entry.state.exists()) {
      all[entry.path] = entry.state;
    } else {
      all.erase(entry.path);
    }
  }
  return all;
}

std::map<std::string, FileState> ImportRecords::current_at_mark() const {
  {
    const Lock lock(mutex_);
    if (mark_) return first(mark_->entries);
  }
  return current();
}

std::size_t ImportRecords::count() const {
  const Lock lock(mutex_);
  return entries_.size();
}

Status ImportRecords::go_back(std::size_t records, const std::set<std::string>& paths) {
  std::map<std::string, FileState> before;
  {
    const Lock lock(mutex_);
    before = first(records);
  }
  std::vector<Entry> back;
  for (const std::string& path : paths) {
    const auto was = before.find(path);
    back.push_back({path, was == before.end() ? FileState() : was->second});
  }
  return append(back);
}

Status ImportRecords::go_back() {
  const std::map<std::string, FileState> before = current_at_mark();
  std::vector<Entry> back;
  for (const auto& [path, now] : current()) {
    const auto was = before.find(path);
    const FileState state = was == before.end() ? FileState() : was->second;
    if (!is_unchanged(now, state)) back.push_back({path, state});
  }
  for (const auto& [path, was] : before) {
    if (!find(path)) back.push_back({path, was});
  }
  return append(back);
}

Status ImportRecords::unmark() {
  if (!marked()) return ok();
  TRY(file::remove(mark_name()));
  TRY(file::remove(written_name()));
  const Lock lock(mutex_);
  mark_.reset();
  return ok();
}

std::set<std::string> ImportRecords::written() const {
  std::set<std::string> paths;
  const std::string text = file::read(written_name()).value_or("");
  for (const std::string_view path : text::split(text, '\0')) paths.emplace(path);
  paths.erase("");
  return paths;
}

Status ImportRecords::add_written(const std::vector<std::string>& paths) const {
  std::set<std::string> all = written();
  all.insert(paths.begin(), paths.end());
  std::string text;
  for (const std::string& path : all) text.append(path).push_back('\0');
  return file::replace(written_name(), text, 0600);
}

Status ImportRecords::append(const std::vector<Entry>& entries) {
  if (entries.empty()) return ok();
  TRY(set_torn_aside());
  const std::string name = entries_name();
  std::string text;
  for (const Entry& entry : entries) text += line_of(entry);
  const UniqueFd fd(::open(name.c_str(), O_WRONLY | O_CLOEXEC));
  const off_t before = fd ? ::lseek(fd.get(), 0, SEEK_END) : -1;
  if (before < 0) return fail_errno(name);
  Status written = file::write_all(fd.get(), text);
  if (written && ::fdatasync(fd.get()) != 0) written = fail_errno(name);
  if (!written) {
    (void)::ftruncate(fd.get(), before);
    return written;
  }
  const Lock lock(mutex_);
  for (const Entry& entry : entries) put(entry);
  return ok();
}

}  // namespace agentfs::imports
