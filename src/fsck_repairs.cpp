// SPDX-License-Identifier: MIT
// What fsck --repair does: only what leaves one answer, and nothing is removed.
#include <filesystem>

#include "backends/blobs/blobs.h"
#include "backends/git/check.h"
#include "backends/imports/imports.h"
#include "backends/segments/segments.h"
#include "backends/sqlite/sqlite.h"
#include "backends/trees/forest_check.h"
#include "base/text.h"
#include "fsck_rows.h"
#include "journal_key.h"
#include "kernel/store_check.h"

namespace agentfs::fsck {

Result<Sentences> repair_key(const StateDirectory& state, const Quarantine& quarantine) {
  std::string done = TRY(mend_journal_key(state, quarantine));
  return done.empty() ? Sentences() : Sentences{std::move(done)};
}

// As a start does.
Result<Sentences> repair_journal(const StateDirectory& state, const Quarantine&) {
  const auto before = names_in(state.file("journal"));
  TRY(open_segments(state.file("journal/segments")));
  Sentences done;
  for (const std::string& name : names_in(state.file("journal"))) {
    if (std::ranges::find(before, name) != before.end()) continue;
    if (name.starts_with("torn-")) {
      done.push_back(
          fmt::format("the last line was torn; what there was of it is in journal/{}", name));
    }
  }
  return done;
}

// Where the journal is damaged, the store may be all that knows what was in it.
Result<Sentences> repair_store(const StateDirectory& state, const Quarantine& quarantine) {
  Look look{.state = state};
  const Status opened = open_journal(look);
  if (!opened) return Sentences();
  look.journal_is_whole = look.journal->verify().has_value();
  const auto look_at = [&]() -> Result<Findings> {
    auto store = TRY(open_sqlite(state.file("agentfs.sqlite")));
    return check_store(*store, *look.journal, look.journal_is_whole);
  };
  const auto found = look_at();
  if (!found && found.error().code != EBADMSG) return std::unexpected(found.error());
  const bool is_ahead = found && !found->whole() && found->problems.size() == 1 &&
                        found->problems.front().ends_with("fills it anew");
  if (found && (found->whole() || is_ahead)) return Sentences();
  for (const char* name : {"agentfs.sqlite-wal", "agentfs.sqlite-shm", "agentfs.sqlite"}) {
    if (file::exists(state.file(name))) TRY(quarantine.take(name));
  }
  const std::string& why = found ? found->problems.front() : found.error().message;
  return Sentences{
      fmt::format("{}; it is in {} now, and the next mount fills a new one from the "
                  "journal",
                  why, quarantine.path())};
}

Result<Sentences> repair_blobs(const StateDirectory& state, const Quarantine& quarantine) {
  const auto blobs = TRY(open_blobs(state.file("blobs")));
  Sentences done;
  for (const std::string& name : blob_names(state.file("blobs"))) {
    const auto bytes = blobs->get(text::last_part(name));
    if (bytes || bytes.error().code != EBADMSG) continue;
    const std::string kept = TRY(quarantine.take("blobs/" + name));
    done.push_back(
        fmt::format("{}; it is in {} now, and the call whose result it was says that it "
                    "has none",
                    bytes.error().message, kept));
  }
  return done;
}

Result<Sentences> repair_trees(const StateDirectory& state, const Quarantine& quarantine) {
  Sentences done;
  // What an import lends has its bytes elsewhere, and a copy of such a file is lent as well.
  const auto imports =
      TRY(open_imports(state.file("imports"), state.file("trees/workspaces"), true));
  for (const ForestPaths& forest : forests(state)) {
    const std::string aside =
        fmt::format("{}/trees/{}", quarantine.path(), text::last_part(forest.trees));
    auto told = TRY(adopt_copied_forest(forest.trees, forest.hidden, aside, {state.file("past")},
                                        {.lender = imports.get()}));
    if (!told.empty() && !imports->all().empty()) TRY(imports->set_astray(true));
    if (told.empty()) told = TRY(mend_forest_marks(forest.trees, forest.hidden));
    done.insert(done.end(), std::make_move_iterator(told.begin()),
                std::make_move_iterator(told.end()));
  }
  return done;
}

Result<Sentences> repair_imports(const StateDirectory& state, const Quarantine&) {
  return mend_imports(state.file("imports"));
}

Result<Sentences> repair_repositories(const StateDirectory& state, const Quarantine& quarantine) {
  Sentences done;
  for (const std::string& name : names_in(state.file("git"))) {
    const std::string path = state.file("git/" + name);
    const auto report = check_repository(path, false);
    if (!report) {
      const std::string kept = TRY(quarantine.take("git/" + name));
      done.push_back(fmt::format("{}; it is in {} now, and the next turn begins a new one",
                                 report.error().message, kept));
      continue;
    }
    if (report->settings_are_damaged) {
      for (const char* file : {"HEAD", "config"}) {
        TRY(quarantine.take(fmt::format("git/{}/{}", name, file)));
      }
      TRY(make_settings(path));
      done.push_back(fmt::format("{}: {}; HEAD and config are in {} now, and written anew",
                                 text::shown(name), report->found.problems.front(),
                                 quarantine.path()));
    }
    for (const std::string& ref : report->lost_refs) {
      const std::string kept = TRY(quarantine.place("git/lost-refs"));
      TRY(set_ref_aside(path, ref, kept));
      done.push_back(
          fmt::format("{}: {} pointed to what cannot be read; where, is in {}, and the "
                      "next turn makes the ref anew",
                      text::shown(name), ref, kept));
    }
  }
  return done;
}

}  // namespace agentfs::fsck
