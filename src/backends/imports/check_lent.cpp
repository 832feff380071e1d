// SPDX-License-Identifier: MIT
#include "backends/imports/check_lent.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>

#include "backends/imports/entry_bytes.h"
#include "backends/imports/lent_mark.h"
#include "base/directory.h"
#include "base/text.h"

namespace agentfs::imports {
namespace {

// One hole, or what a copy makes of one.
bool has_only_zeros(int file) {
  constexpr std::size_t kPiece = std::size_t{64} << 10;
  std::string piece(kPiece, '\0');
  for (off_t at = 0;;) {
    at = ::lseek(file, at, SEEK_DATA);
    if (at < 0) return errno == ENXIO;
    const ssize_t count = ::pread(file, piece.data(), piece.size(), at);
    if (count <= 0) return count == 0;
    const std::string_view read(piece.data(), static_cast<std::size_t>(count));
    if (read.find_first_not_of('\0') != std::string_view::npos) return false;
    at += count;
  }
}

using Look = std::function<void(const UniqueFd& file, const std::string& path)>;

// Of each regular file, O_PATH, and its path below the top.
void look_at_files(int top, const Look& look) {
  walk_files(top, [&](int directory, const std::string& name, const std::string& path) {
    const UniqueFd fd(::openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (fd) look(fd, path);
  });
}

// Nothing but zeros, of the recorded size, which the source is not.
bool reads_as_zeros(const ImportRecords& records, const UniqueFd& file, const std::string& path) {
  const auto number = records.find(path);
  struct stat attributes{};
  if (!number || ::fstat(file.get(), &attributes) != 0) return false;
  const FileState there = state_from(attributes);
  const FileState recorded = records.state(path);
  const bool looks_lent =
      recorded.is_regular() && recorded.size != 0 && there.size == recorded.size;
  if (!looks_lent) return false;
  const UniqueFd opened(
      ::open(fmt::format("/proc/self/fd/{}", file.get()).c_str(), O_RDONLY | O_CLOEXEC));
  if (!opened || !has_only_zeros(opened.get())) return false;
  const auto lent = open_entry(records, *number);
  return !lent || !has_only_zeros(lent->file.get());
}

// Who makes such a file here, of another time, may have meant to.
bool has_its_time(const ImportRecords& records, const UniqueFd& file, const std::string& path) {
  struct stat attributes{};
  const FileState recorded = records.state(path);
  return recorded.exists() && ::fstat(file.get(), &attributes) == 0 &&
         state_from(attributes).modified == recorded.modified;
}

void look_at_lent(const ImportRecords& records, std::uint32_t import, const UniqueFd& file,
                  const std::string& path, Findings& found) {
  const auto mark = lent_mark(file.get(), lent_mark_name(::geteuid() == 0));
  const std::string source = text::shown(fmt::format("{}/{}", records.source(), path));
  if (mark) {
    const auto entry = mark->import == import ? records.entry(mark->entry) : std::nullopt;
    if (entry && entry->path == path && mark->leads_to(*entry)) return;
    found.problems.push_back(
        fmt::format("import {}: {}: no record says where its bytes lie; where nobody has changed "
                    "it, a copy of {} in its place would do",
                    import, text::shown(path), source));
  } else if (reads_as_zeros(records, file, path)) {
    const bool is_its = has_its_time(records, file, path);
    auto& told = is_its ? found.problems : found.notes;
    told.push_back(
        fmt::format("import {}: {}: reads as zeros, {} it has lost the mark that says where its "
                    "bytes lie; a copy of {} in its place would do",
                    import, text::shown(path), is_its ? "since" : "perhaps since", source));
  }
}

// Files of which one is named.
struct Counted {
  std::string first{};
  std::size_t count = 0;
  void add(const std::string& path) {
    if (count++ == 0) first = path;
  }
  std::string files() const { return count == 1 ? "a file" : fmt::format("{} files", count); }
};

// Each lent file below a directory: its mark, and the records that it leads to; null: to none.
void look_at_marks(const std::vector<NumberedRecords>& imports, const std::string& directory,
                   const std::function<void(const LentMark&, const ImportRecords*,
                                            const std::string& path)>& look) {
  const UniqueFd top(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!top) return;
  const char* const name = lent_mark_name(::geteuid() == 0);
  look_at_files(top.get(), [&](const UniqueFd& file, const std::string& path) {
    const auto mark = lent_mark(file.get(), name);
    if (!mark) return;
    const auto its = std::ranges::find(imports, mark->import, &NumberedRecords::import);
    const auto entry = its == imports.end() ? std::nullopt : its->records->entry(mark->entry);
    look(*mark, entry && mark->leads_to(*entry) ? its->records.get() : nullptr, path);
  });
}

}  // namespace

void check_lent(const ImportRecords& records, std::uint32_t import, const std::string& tree,
                Findings& found) {
  const UniqueFd top(::open(tree.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!top) return;
  look_at_files(top.get(), [&](const UniqueFd& file, const std::string& path) {
    look_at_lent(records, import, file, path, found);
  });
}

void check_unmarked(const std::vector<NumberedRecords>& imports, const std::string& tree,
                    Findings& found) {
  const UniqueFd top(::open(tree.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!top || imports.empty()) return;
  const char* const mark = lent_mark_name(::geteuid() == 0);
  look_at_files(top.get(), [&](const UniqueFd& file, const std::string& path) {
    if (has_lent_mark(file.get(), mark)) return;
    const auto lost = std::ranges::find_if(imports, [&](const NumberedRecords& one) {
      return has_its_time(*one.records, file, path) && reads_as_zeros(*one.records, file, path);
    });
    if (lost == imports.end()) return;
    const std::string source = fmt::format("{}/{}", lost->records->source(), path);
    found.problems.push_back(fmt::format(
        "import {}: {}/{}: reads as zeros, since it has lost the mark that says where its bytes "
        "lie, as in a copy without extended attributes; a copy of {} in its place would do",
        lost->import, text::shown(std::string(text::last_part(tree))), text::shown(path),
        text::shown(source)));
  });
}

void check_lines(const std::vector<NumberedRecords>& imports, const std::string& lines,
                 Findings& found) {
  std::map<std::uint32_t, Counted> all;
  look_at_marks(imports, lines,
                [&](const LentMark& mark, const ImportRecords* records, const std::string& path) {
                  if (records == nullptr) all[mark.import].add(path);
                });
  for (const auto& [import, lost] : all) {
    found.problems.push_back(fmt::format(
        "import {}: no record says where the bytes of {} lie, which it lends to forks, checkpoints "
        "or what a rollback took away; .workspaces/lines/{} is the first",
        import, lost.files(), text::shown(lost.first)));
  }
}

void check_bytes(const std::vector<NumberedRecords>& imports, const std::vector<std::string>& tops,
                 Findings& found) {
  std::map<std::uint32_t, Counted> all;
  for (const std::string& top : tops) {
    look_at_marks(imports, top,
                  [&](const LentMark& mark, const ImportRecords* records, const std::string& path) {
                    if (records == nullptr || open_entry(*records, mark.entry)) return;
                    all[mark.import].add(fmt::format("{}/{}", text::last_part(top), path));
                  });
  }
  for (const auto& [import, lost] : all) {
    found.notes.push_back(fmt::format(
        "import {}: {} cannot be read ({}, for one): changed in the directory since, and the "
        "import keeps no copy of what was there",
        import, lost.files(), text::shown(lost.first)));
  }
}

void check_kept(const ImportRecords& records, std::uint32_t import, Findings& found) {
  const auto all = list_if_there(records.kept_directory());
  if (!all) {
    found.problems.push_back(fmt::format("import {}: {}", import, all.error().message));
    return;
  }
  for (const HostEntry& kept : *all) {
    const auto number = text::number<std::size_t>(kept.name);
    const auto entry = number ? records.entry(*number) : std::nullopt;
    struct stat its{};
    const std::string file = fmt::format("{}/{}", records.kept_directory(), kept.name);
    if (!entry || ::lstat(file.c_str(), &its) != 0 || its.st_size == entry->state.size) continue;
    found.problems.push_back(
        fmt::format("import {}: kept/{}: {} bytes of {}, which had {}, so nobody reads it", import,
                    *number, its.st_size, text::shown(entry->path), entry->state.size));
  }
}

}  // namespace agentfs::imports
