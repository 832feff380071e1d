// SPDX-License-Identifier: MIT
#include "backends/imports/check_lent.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

#include "backends/imports/entry_bytes.h"
#include "backends/imports/lent_mark.h"
#include "base/blocks.h"
#include "base/directory.h"
#include "base/text.h"

namespace agentfs::imports {
namespace {

bool is_one_hole(int file) { return ::lseek(file, 0, SEEK_DATA) < 0 && errno == ENXIO; }

class LentCheck {
 public:
  LentCheck(const ImportRecords& records, std::uint32_t import, Findings& found)
      : records_(records), import_(import), found_(found) {}

  void walk(int top);

 private:
  void look(const UniqueFd& file, const std::string& path);
  bool reads_as_zeros(const UniqueFd& file, const std::string& path) const;

  const ImportRecords& records_;
  const std::uint32_t import_;
  const char* const mark_ = lent_mark_name(::geteuid() == 0);
  Findings& found_;
};

void LentCheck::walk(int top) {
  walk_directories(top, [this](int directory, const std::string& inside, std::size_t) {
    const auto entries = directory >= 0 ? list_directory(directory) : fail_errno(inside);
    if (!entries) return std::vector<std::string>();  // the forest's check tells
    for (const HostEntry& entry : *entries) {
      if (entry.type != S_IFREG) continue;
      const UniqueFd fd(::openat(directory, entry.name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
      if (fd) look(fd, inside.empty() ? entry.name : inside + "/" + entry.name);
    }
    return directories_in(*entries);
  });
}

void LentCheck::look(const UniqueFd& file, const std::string& path) {
  const auto mark = lent_mark(file.get(), mark_);
  const std::string source = text::shown(fmt::format("{}/{}", records_.source(), path));
  if (mark) {
    const auto entry = mark->import == import_ ? records_.entry(mark->entry) : std::nullopt;
    if (entry && entry->path == path && mark->leads_to(*entry)) return;
    found_.problems.push_back(
        fmt::format("import {}: {}: no record says where its bytes lie; where nobody has changed "
                    "it, a copy of {} in its place would do",
                    import_, text::shown(path), source));
  } else if (reads_as_zeros(file, path)) {
    struct stat attributes{};
    const bool has_its_time = ::fstat(file.get(), &attributes) == 0 &&
                              state_from(attributes).modified == records_.state(path).modified;
    auto& told = has_its_time ? found_.problems : found_.notes;
    told.push_back(
        fmt::format("import {}: {}: reads as zeros, {} it has lost the mark that says where its "
                    "bytes lie; a copy of {} in its place would do",
                    import_, text::shown(path), has_its_time ? "since" : "perhaps since", source));
  }
}

// A hole of the recorded size, which the source is not. Who makes such a file here, of another
// time, may have meant to.
bool LentCheck::reads_as_zeros(const UniqueFd& file, const std::string& path) const {
  const auto number = records_.find(path);
  struct stat attributes{};
  if (!number || ::fstat(file.get(), &attributes) != 0) return false;
  const FileState there = state_from(attributes);
  const FileState recorded = records_.state(path);
  const bool looks_lent = recorded.is_regular() && recorded.size != 0 &&
                          there.size == recorded.size && may_be_hole(attributes);
  if (!looks_lent) return false;
  const UniqueFd opened(
      ::open(fmt::format("/proc/self/fd/{}", file.get()).c_str(), O_RDONLY | O_CLOEXEC));
  if (!opened || !is_one_hole(opened.get())) return false;
  const auto lent = open_entry(records_, *number);
  return !lent || !is_one_hole(lent->file.get());
}

}  // namespace

void check_lent(const ImportRecords& records, std::uint32_t import, const std::string& tree,
                Findings& found) {
  const UniqueFd top(::open(tree.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (top) LentCheck(records, import, found).walk(top.get());
}

void check_kept(const ImportRecords& records, std::uint32_t import, Findings& found) {
  std::error_code error;
  for (const auto& kept : std::filesystem::directory_iterator(records.kept_directory(), error)) {
    const auto number = text::number<std::size_t>(kept.path().filename().native());
    const auto entry = number ? records.entry(*number) : std::nullopt;
    const auto size = static_cast<std::int64_t>(kept.file_size(error));
    if (!entry || error || size == entry->state.size) continue;
    found.problems.push_back(
        fmt::format("import {}: kept/{}: {} bytes of {}, which had {}, so nobody reads it", import,
                    *number, size, text::shown(entry->path), entry->state.size));
  }
}

}  // namespace agentfs::imports
