// SPDX-License-Identifier: MIT
#include "kernel/history.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "base/blocks.h"
#include "base/text.h"

namespace agentfs {
namespace {

constexpr std::array<std::string_view, 7> kTypes = {"file", "empty", "link",  "directory",
                                                    "name", "fifo",  "socket"};

FileVersion::Type type_named(std::string_view word) {
  const auto found = std::ranges::find(kTypes, word);
  return found == kTypes.end() ? FileVersion::Type::file
                               : static_cast<FileVersion::Type>(found - kTypes.begin());
}

bool is_content(const FileVersion& version) {
  return version.type == FileVersion::Type::file || version.type == FileVersion::Type::empty;
}

bool are_of_one_tree(const FileVersion& one, const FileVersion& other) {
  return text::first_parts(one.path, 2) == text::first_parts(other.path, 2);
}

// Everything below a directory begins with its path and a slash.
std::string below(const std::string& directory) { return directory + "/"; }

FileVersionRef made_by(const Record& record, FileVersion&& version) {
  version.time = record.time;
  version.author = lineage(record.author);
  version.host_pid = record.author.host_pid;
  return std::make_shared<const FileVersion>(std::move(version));
}

}  // namespace

std::string lineage(const Author& author) {
  std::string out;
  for (const ProcessId pid : author.lineage) out += fmt::format("{}<", pid.value);
  out += author.user.empty() ? "agentfs" : author.user;
  return author.command.empty() ? out : fmt::format("{} ({})", out, author.command);
}

std::string_view name(FileVersion::Type type) { return kTypes[static_cast<std::size_t>(type)]; }

json::Value to_json(const FileVersion& v) {
  json::Value value;
  value.set("number", v.number);
  json::set_bytes(value, "path", v.path);
  value.set("type", name(v.type)).set("size", v.size).set("mode", v.mode);
  if (v.held != whole_blocks(v.size)) value.set("held", v.held);
  value.set("uid", v.uid).set("gid", v.gid);
  value.set("modified", v.modified).set("time", v.time).set("cause", v.cause);
  if (v.named != 0) value.set("named", v.named);
  if (v.host_pid != 0) value.set("host_pid", v.host_pid);
  value.set("author", v.author);
  if (v.file != 0) value.set("file", v.file);
  if (!v.kept_as.empty()) json::set_bytes(value, "kept_as", v.kept_as);
  if (!v.target.empty()) json::set_bytes(value, "target", v.target);
  set_xattrs(value, v.xattrs);
  if (v.in_trash) value.set("in_trash", true);
  if (v.forgotten) value.set("forgotten", true);
  return value;
}

FileVersion version_from_json(const json::Value& value) {
  FileVersion v;
  v.number = static_cast<std::uint64_t>(value["number"].number());
  v.path = json::bytes_of(value, "path");
  v.type = type_named(value["type"].text());
  v.size = static_cast<std::uint64_t>(value["size"].number());
  const json::Value& held = value["held"];
  v.held = held.is_null() ? whole_blocks(v.size) : static_cast<std::uint64_t>(held.number());
  v.mode = static_cast<mode_t>(value["mode"].number());
  v.uid = static_cast<uid_t>(value["uid"].number());
  v.gid = static_cast<gid_t>(value["gid"].number());
  v.modified = value["modified"].number();
  v.named = value["named"].number();
  v.file = static_cast<std::uint64_t>(value["file"].number());
  v.kept_as = json::bytes_of(value, "kept_as");
  v.target = json::bytes_of(value, "target");
  v.xattrs = xattrs_of(value);
  v.time = value["time"].number();
  v.cause = value["cause"].text();
  v.author = value["author"].text();
  v.host_pid = value["host_pid"].number();
  v.in_trash = value["in_trash"].truth();
  v.forgotten = value["forgotten"].truth();
  return v;
}

FileVersionRef version_of(const Record& record, std::int64_t named) {
  const json::Value& kept = record.data["kept"];
  if (kept["number"].number() <= 0) return nullptr;
  FileVersion v = version_from_json(kept);
  v.cause = std::string_view(record.kind).substr(record.kind.find('.') + 1);
  // A file may have been renamed between its first write and the row; a rename keeps what had the
  // new name.
  if (v.path.empty()) v.path = json::bytes_of(record.data, v.cause == "rename" ? "other" : "path");
  v.in_trash = v.cause == "remove" || kept["removed"].truth();
  if (v.in_trash) v.named = named;
  if (record.data["temporary"].truth()) v.cause = FileVersion::kLeftover;
  return made_by(record, std::move(v));
}

FileVersionRef former_of(const Record& record) {
  const json::Value& former = record.data["former"];
  if (former["number"].number() <= 0) return nullptr;
  FileVersion v = version_from_json(former);
  v.path = json::bytes_of(record.data, "path");
  v.cause = "rename";
  return made_by(record, std::move(v));
}

// Beside its own it has up to four nodes of containers, which its path is not in.
HistoryAmount HistoryAmount::of(const FileVersion& version) {
  constexpr std::size_t kNodes = 320;
  std::uint64_t memory = sizeof version + kNodes + version.path.size();
  for (const std::string* text : {&version.kept_as, &version.target, &version.author}) {
    memory += text->size();
  }
  for (const auto& [name, value] : version.xattrs) memory += name.size() + value.size();
  if (version.type != FileVersion::Type::file) return {.memory = memory};
  return {.bytes = version.held, .files = 1, .memory = memory};
}

HistoryAmount& HistoryAmount::operator+=(const HistoryAmount& other) {
  bytes += other.bytes;
  files += other.files;
  memory += other.memory;
  return *this;
}

HistoryAmount& HistoryAmount::operator-=(const HistoryAmount& other) {
  bytes -= other.bytes;
  files -= other.files;
  memory -= other.memory;
  return *this;
}

void History::add(const FileVersionRef& version) {
  if (version->number <= last_) erase(version->number);
  by_number_.emplace_hint(by_number_.end(), version->number, version);
  if (!version->forgotten) by_path_.insert(version);
  if (version->in_trash) put_in_trash(version);
  share(*version);
  amount_ += HistoryAmount::of(*version);
  last_ = std::max(last_, version->number);
}

void History::erase(std::uint64_t number) {
  const auto found = by_number_.find(number);
  if (found == by_number_.end()) return;
  const FileVersionRef version = found->second;
  by_number_.erase(found);
  unshare(*version);
  amount_ -= HistoryAmount::of(*version);
  if (version->forgotten) return;
  by_path_.erase(version);
  if (trashed(version->path) == version) take_from_trash(version);
}

void History::put_in_trash(const FileVersionRef& version) {
  if (const FileVersionRef old = trashed(version->path)) take_from_trash(old);
  trash_.insert(version);
  trashed_.emplace(version->path, version);
}

void History::take_from_trash(const FileVersionRef& version) {
  trashed_.erase(version->path);
  trash_.erase(version);
}

std::uint64_t History::appear(const std::string& path) {
  const FileVersionRef version = trashed(path);
  if (version == nullptr) return 0;
  FileVersion out_of_trash = *version;
  out_of_trash.in_trash = false;
  add(std::make_shared<const FileVersion>(std::move(out_of_trash)));
  return version->number;
}

// Those below `from`, out of here and with their names below `to`.
std::vector<FileVersion> History::take_below(const std::string& from, const std::string& to,
                                             const Goes& goes) {
  std::vector<FileVersion> taken;
  for (const FileVersionRef& version : versions_below(from)) {
    if (goes && !goes(*version)) continue;
    FileVersion moved = *version;
    moved.kept_as = version->stored().path;
    moved.path = to + version->path.substr(from.size());
    if (moved.kept_as == moved.path) moved.kept_as.clear();
    erase(version->number);
    taken.push_back(std::move(moved));
  }
  return taken;
}

std::vector<std::uint64_t> History::move(const std::string& from, const std::string& to,
                                         bool exchange, const Goes& goes) {
  std::vector<FileVersion> moved = take_below(from, to, goes);
  if (exchange) std::ranges::move(take_below(to, from, goes), std::back_inserter(moved));
  std::ranges::sort(moved, {}, &FileVersion::number);  // a file's names come before its content
  std::vector<std::uint64_t> changed;
  for (FileVersion& version : moved) {
    // One removed twice is in the trash once.
    const std::uint64_t out = version.in_trash ? appear(version.path) : 0;
    if (out != 0) changed.push_back(out);
    changed.push_back(version.number);
    add(std::make_shared<const FileVersion>(std::move(version)));
  }
  return changed;
}

FileVersionRef History::find(std::uint64_t number) const {
  const auto found = by_number_.find(number);
  return found == by_number_.end() ? nullptr : found->second;
}

// A file's names come before what it held when it had none left.
void History::share(const FileVersion& version) {
  if (version.file == 0) return;
  if (version.type == FileVersion::Type::name) {
    shared_[version.file].names.insert(version.number);
  }
  const auto found = shared_.find(version.file);
  if (found != shared_.end() && is_content(version)) found->second.contents.insert(version.number);
}

void History::unshare(const FileVersion& version) {
  const auto found = shared_.find(version.file);
  if (found == shared_.end()) return;
  Shared& shared = found->second;
  shared.names.erase(version.number);
  shared.contents.erase(version.number);
  if (shared.names.empty() && shared.contents.empty()) shared_.erase(found);
}

FileVersionRef History::whole(const FileVersionRef& version) const {
  if (version == nullptr || version->type != FileVersion::Type::name) return version;
  const auto found = shared_.find(version->file);
  if (found == shared_.end()) return nullptr;
  const auto content = found->second.contents.upper_bound(version->number);
  if (content == found->second.contents.end()) return nullptr;
  FileVersionRef whole = find(*content);
  return are_of_one_tree(*whole, *version) ? whole : nullptr;
}

// Those that went since the content before it: all of them together are looked at once, however
// many there are.
std::vector<FileVersionRef> History::names_of(const FileVersion& content) const {
  std::vector<FileVersionRef> names;
  const auto found = shared_.find(content.file);
  if (found == shared_.end()) return names;
  const auto& [all, contents] = found->second;
  const auto own = contents.find(content.number);
  if (own == contents.end()) return names;
  const std::uint64_t before = own == contents.begin() ? 0 : *std::prev(own);
  for (auto at = all.upper_bound(before); at != all.end() && *at < content.number; ++at) {
    FileVersionRef name = find(*at);
    if (are_of_one_tree(*name, content)) names.push_back(std::move(name));
  }
  return names;
}

std::vector<FileVersionRef> History::versions(const std::string& path) const {
  const auto [first, last] = by_path_.equal_range(std::string_view(path));
  return {first, last};
}

std::vector<FileVersionRef> History::versions_below(const std::string& directory) const {
  return starting_with(by_path_, below(directory));
}

FileVersionRef History::trashed(const std::string& path) const {
  const auto found = trashed_.find(path);
  return found == trashed_.end() ? nullptr : found->second;
}

std::vector<FileVersionRef> History::trashed_at_or_below(const std::string& path) const {
  std::vector<FileVersionRef> versions = starting_with(trash_, below(path));
  if (FileVersionRef own = trashed(path)) versions.insert(versions.begin(), std::move(own));
  return versions;
}

std::vector<FileVersionRef> History::starting_with(const Ordered& versions,
                                                   const std::string& prefix) {
  std::vector<FileVersionRef> found;
  for (auto at = versions.lower_bound(std::string_view(prefix));
       at != versions.end() && (*at)->path.starts_with(prefix); ++at) {
    found.push_back(*at);
  }
  return found;
}

bool History::has_prefix(const Ordered& versions, const std::string& prefix) {
  const auto first = versions.lower_bound(std::string_view(prefix));
  return first != versions.end() && (*first)->path.starts_with(prefix);
}

// The next names of a directory, each found by one step down the tree and not by going through
// what lies below it. "a", "a.c" and "a/b" stand in this order, so a name may be met twice.
std::vector<History::Child> History::children_in(const Ordered& versions,
                                                 const std::string& directory) {
  const std::string prefix = below(directory);
  std::map<std::string, bool> names;
  auto at = versions.lower_bound(std::string_view(prefix));
  while (at != versions.end() && (*at)->path.starts_with(prefix)) {
    const std::string_view rest = std::string_view((*at)->path).substr(prefix.size());
    const auto slash = rest.find('/');
    const std::string child(rest.substr(0, slash));
    names[child] |= slash != std::string_view::npos;
    if (slash == std::string_view::npos) {
      at = versions.upper_bound(std::string_view((*at)->path));
    } else {
      const std::string next = fmt::format("{}{}0", prefix, child);  // '0' comes after '/'
      at = versions.lower_bound(std::string_view(next));
    }
  }
  std::vector<History::Child> children;
  children.reserve(names.size());
  for (auto& [child, has_children] : names) children.push_back({child, has_children});
  return children;
}

std::vector<History::Child> History::children(const std::string& directory) const {
  return children_in(by_path_, directory);
}

std::vector<History::Child> History::trash_children(const std::string& directory) const {
  return children_in(trash_, directory);
}

bool History::has_below(const std::string& directory) const {
  return has_prefix(by_path_, below(directory));
}

bool History::has_trash_below(const std::string& directory) const {
  return has_prefix(trash_, below(directory));
}

}  // namespace agentfs
