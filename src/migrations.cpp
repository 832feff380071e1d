// SPDX-License-Identifier: MIT
#include "migrations.h"

#include <unistd.h>

#include <array>
#include <filesystem>

#include "backends/trees/forest_check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "quarantine.h"

namespace agentfs {
namespace {

constexpr int kOldest = 1;
constexpr int kNewest = 5;

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

Status write_format(const std::string& state, int format) {
  return file::replace(state + "/format", fmt::format("{}\n", format));
}

Result<int> read_format(const std::string& state) {
  const std::string file = state + "/format";
  if (!file::exists(file)) return file::exists(state + "/journal") ? kOldest : kNewest;
  const std::string found = TRY(file::read(file));
  const auto format = text::number<int>(text::trim(found));
  if (format && *format >= kOldest && *format <= kNewest) return *format;
  if (format && *format > kNewest) {
    return fail(EBADMSG,
                "{}: the state has format {}; this agentfs {} reads formats {} to {}, and a "
                "newer one would do",
                file, *format, AGENTFS_VERSION, kOldest, kNewest);
  }
  return fail(EBADMSG,
              "{}: the state has format {}; this agentfs {} reads formats {} to {} (a damaged file "
              "can be mended: `echo {} > {}`)",
              file, text::shown(text::trim(found)), AGENTFS_VERSION, kOldest, kNewest, kOldest,
              file);
}

}  // namespace

Status check_format(const std::string& state) {
  const int format = TRY(read_format(state));
  const bool is_new = format == kNewest && !file::exists(state + "/format");
  return is_new ? write_format(state, kNewest) : ok();
}

Status migrate(const std::string& state) {
  const int before = TRY(read_format(state));
  for (const Migration& step : kMigrations) {
    if (step.from < before) continue;
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
  return ok();
}

}  // namespace agentfs
