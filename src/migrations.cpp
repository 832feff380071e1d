// SPDX-License-Identifier: MIT
#include "migrations.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <filesystem>
#include <optional>

#include "backends/trees/forest_check.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "quarantine.h"

namespace agentfs {
namespace {

constexpr int kOldest = 1;
constexpr int kNewest = 5;
constexpr const char* kFormat = "/format";
constexpr const char* kCopy = "/format.copy";

bool is_known(int format) { return format >= kOldest && format <= kNewest; }
std::string text_of(int format) { return fmt::format("{}\n", format); }

// Before forks there were, two workspaces could share a file by hard links; a fork of either would
// share it too, and none may write to what another one reads.
Status cut_links_between_trees(const std::string& state, const std::string& backup) {
  const auto shared = TRY(find_shared_files({state + "/trees/home", state + "/trees/workspaces"}));
  const std::string scratch = state + "/trees/.cut";
  if (!shared.empty()) {
    std::string list;
    for (const SharedFile& file : shared) {
      for (const std::string& name : file.cut) {
        json::Value line;
        json::set_bytes(line, "kept", file.kept);
        json::set_bytes(line, "copied", name);
        list += json::dump(line) + "\n";
      }
    }
    TRY(file::make_directories(backup, 0700));
    TRY(file::replace(backup + "/shared-links.jsonl", list, 0600));
    for (const SharedFile& file : shared) TRY(cut_shared_file(file, scratch));
    log::info("state: {} files that two trees shared have a copy in each; {} lists them",
              shared.size(), backup);
  }
  std::error_code error;
  std::filesystem::remove_all(scratch, error);
  return error ? fail_errno(error.value(), scratch) : ok();
}

// Builds that know the older format alone are to leave this one.
Status change_nothing(const std::string&, const std::string&) { return ok(); }

// What a step does is in its sentence, which the log has. `backup` is a directory to be made for
// what is changed.
struct Migration {
  int from = 0;
  std::string_view sentence{};
  Status (*run)(const std::string& state, const std::string& backup) = nullptr;
};
constexpr auto kMigrations = std::to_array<Migration>({
    {1, "hard links between two trees become a file in each", cut_links_between_trees},
    {2, "what a fork reads may be told by one record", change_nothing},
    {3, "files have other numbers after a rollback", change_nothing},
    {4, "marks of what forks read have a sum", change_nothing},
});
static_assert(kMigrations.size() == kNewest - kOldest, "a row for each step");

// With a sum, so that it is known which of the two is damaged.
std::string copy_of(int format) {
  const std::string number = fmt::format("{}", format);
  return fmt::format("{} {}\n", number, blake2b(number));
}

// The copy first: where the number is one step behind it, the step had been done.
Status write_format(const std::string& state, int format) {
  TRY(file::replace(state + kCopy, copy_of(format), 0600));
  return file::replace(state + kFormat, text_of(format));
}

// None where there is no copy, or a damaged one.
Result<std::optional<int>> read_copy(const std::string& state) {
  if (!file::exists(state + kCopy)) return std::nullopt;
  const std::string found = TRY(file::read(state + kCopy));
  const auto format = text::number<int>(found.substr(0, found.find(' ')));
  const bool is_whole = format && found == copy_of(*format);
  return is_whole ? format : std::nullopt;
}

bool is_one_bit_apart(std::string_view one, std::string_view other) {
  if (one.size() != other.size()) return false;
  int bits = 0;
  for (std::size_t i = 0; i < one.size(); ++i) {
    bits += std::popcount(static_cast<unsigned char>(one[i] ^ other[i]));
  }
  return bits == 1;
}

Error unknown_format(const std::string& file, std::string_view stored) {
  const std::string_view found = text::trim(stored);
  const std::string reads =
      fmt::format("{}: the state has format {}; this agentfs {} reads formats {} to {}", file,
                  text::shown(found), AGENTFS_VERSION, kOldest, kNewest);
  if (const auto format = text::number<int>(found); format && *format > kNewest) {
    return {EBADMSG, reads + ", and a newer one would do"};
  }
  return {EBADMSG,
          fmt::format("{} (a damaged file can be mended: `echo {} > {}`)", reads, kOldest, file)};
}

// What is mended is told, and written by migrate().
struct Format {
  int number = kNewest;
  std::string problem{};
};

Result<Format> read_format(const std::string& state) {
  const std::string file = state + kFormat;
  const std::optional<int> copy = TRY(read_copy(state));
  if (copy && !is_known(*copy)) {
    return std::unexpected(unknown_format(state + kCopy, text_of(*copy)));
  }
  if (!file::exists(file)) {
    if (copy) return Format{*copy, fmt::format("{}: was gone; its copy says {}", file, *copy)};
    return Format{file::exists(state + "/journal") ? kOldest : kNewest};
  }
  const std::string found = TRY(file::read(file));
  const auto format = text::number<int>(text::trim(found));
  if (copy && (!format || is_one_bit_apart(found, text_of(*copy)))) {
    return Format{*copy, fmt::format("{}: said {} and was damaged; its copy says {}", file,
                                     text::shown(text::trim(found)), *copy)};
  }
  if (format && is_known(*format)) return Format{*format};
  return std::unexpected(unknown_format(file, found));
}

}  // namespace

Status check_format(const std::string& state) {
  const Format format = TRY(read_format(state));
  const bool is_empty = format.number == kNewest && format.problem.empty();
  const bool is_new = is_empty && !file::exists(state + kFormat);
  return is_new ? write_format(state, kNewest) : ok();
}

Result<std::string> migrate(const std::string& state) {
  Format before = TRY(read_format(state));
  for (const Migration& step : kMigrations) {
    if (step.from < before.number) continue;
    const std::string backup = fmt::format("{}/backup-{}-{}", state, step.from, compact_time());
    log::info("state: format {} to {}: {}", step.from, step.from + 1, step.sentence);
    if (Status done = step.run(state, backup); !done) {
      return fail(done.error().code,
                  "{}: could not be brought from format {} to {}: {}; nothing is lost, the next "
                  "start tries again",
                  state, step.from, step.from + 1, done.error().message);
    }
    TRY(write_format(state, step.from + 1));
  }
  const bool is_whole = before.problem.empty() && TRY(read_copy(state)) == kNewest;
  const Status written = is_whole ? ok() : write_format(state, kNewest);
  if (!written) log::warning("{}", written.error().message);  // a full disk; the next start
  return std::move(before.problem);
}

}  // namespace agentfs
