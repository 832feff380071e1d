// SPDX-License-Identifier: MIT
#include "fsck_rows.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>

#include "backends/blobs/blobs.h"
#include "backends/git/check.h"
#include "backends/imports/imports.h"
#include "backends/past/past.h"
#include "backends/segments/segments.h"
#include "backends/sqlite/sqlite.h"
#include "backends/trees/forest_check.h"
#include "base/clock.h"
#include "base/text.h"
#include "journal_key.h"
#include "kernel/configuration.h"
#include "kernel/drop_order.h"
#include "kernel/fast_path.h"
#include "kernel/keeper.h"
#include "kernel/kinds.h"
#include "kernel/store_check.h"
#include "kernel/stored_order.h"

namespace agentfs::fsck {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kNoJournal =
    "what the journal says is not known; see above what can be done about that";

Result<Findings> check_key(Look& look) {
  const std::string path = look.state.file(kJournalKey);
  if (!file::exists(path)) {
    Findings none{.sum = "none yet; the next mount makes one"};
    if (!names_in(look.state.file("journal/segments")).empty()) {
      none.notes.push_back(fmt::format(
          "{} is gone, which the journal is signed with; the next mount makes another and tells it",
          path));
    }
    return none;
  }
  const SigningKey key = TRY(SigningKey::ensure(path));
  return Findings{.sum = fmt::format("signs as {}", key.public_key())};
}

// What earlier starts found, which the chain does not show: it was whole when they went on.
std::vector<std::string> told_by_starts(const Journal& journal) {
  constexpr std::size_t kMost = 10;  // the last ones
  std::vector<std::string> told;
  std::vector<std::string> damaged;
  const auto look = [&](const Record& record, std::string_view) {
    if (record.kind != kind::kStateProblem) return ok();
    if (told.size() == kMost) told.erase(told.begin());
    told.push_back(fmt::format("record {}: the start of {} found: {}", record.sequence.value,
                               timestamp(record.time), record.data["text"].text()));
    return ok();
  };
  if (const Status read = journal.replay_readable({}, look, damaged); !read) {
    told.push_back(read.error().message);
  }
  return told;
}

Result<Findings> check_journal(Look& look) {
  TRY(open_journal(look));
  Findings found{
      .sum = fmt::format("{} records, the chain is whole", look.journal->head().sequence.value)};
  const auto verified = look.journal->verify();
  look.journal_is_whole = verified.has_value();
  std::uint64_t read = 0;
  std::error_code error;
  for (const SegmentInfo& segment : look.log->segments()) {
    read += segment.size;
    const std::uint64_t size = fs::file_size(segment.host_path, error);
    if (error || size == segment.size) continue;
    found.notes.push_back(
        fmt::format("{}: {} bytes after the last whole line; a start sets such an "
                    "end of the last segment aside",
                    segment.name, size - segment.size));
  }
  look.bytes += read;
  std::ranges::move(told_by_starts(*look.journal), std::back_inserter(found.notes));
  if (verified) return found;
  found.problems.push_back(verified.error().message);
  found.problems.push_back(
      "the damaged segment stays as it is, as evidence; a mount serves the rest, and with the "
      "segment from a backup the chain is whole again");
  return found;
}

Result<Findings> check_the_store(Look& look) {
  auto store = TRY(open_sqlite(look.state.file("agentfs.sqlite")));
  if (!look.journal) return fail(EBADMSG, "{}", kNoJournal);
  Findings found = TRY(check_store(*store, *look.journal, look.journal_is_whole));
  auto fold = Keeper(*store, *look.journal).look();
  if (fold) look.fold = std::move(*fold);
  if (!fold) found.problems.push_back(fold.error().message);
  return found;
}

// A damaged store is filled anew, so that what is kept can be known without it.
void learn_fold(Look& look) {
  if (look.fold || !look.journal) return;
  Fold fold;
  std::vector<std::string> damaged;
  const auto apply = [&](const Record& record, std::string_view) {
    fold.apply(record);
    return ok();
  };
  if (look.journal->replay_readable({}, apply, damaged)) look.fold = std::move(fold);
}

// Of what was set aside, in whatever folder of the quarantine.
std::set<std::string> set_aside(const StateDirectory& state) {
  std::set<std::string> names;
  std::error_code error;
  std::filesystem::recursive_directory_iterator entries(state.file("quarantine"), error);
  for (; !error && entries != std::filesystem::recursive_directory_iterator();
       entries.increment(error)) {
    names.insert(entries->path().filename());
  }
  return names;
}

// Results of calls that are in none of the blobs: damage, but where fsck itself took them away.
void add_missing(const Look& look, const std::set<std::string>& there, Findings& found) {
  const std::set<std::string> aside = set_aside(look.state);
  for (const auto& [pid, process] : look.fold->processes()) {
    for (const CallRef& call : process->calls) {
      if (call->result_blob.empty() || there.contains(call->result_blob)) continue;
      const bool is_aside = aside.contains(call->result_blob);
      (is_aside ? found.notes : found.problems)
          .push_back(fmt::format("the result of call {} of process {} is {} (blob {}); the part "
                                 "that the model was told is in the journal",
                                 call->number, pid.value,
                                 is_aside ? "in STATE/quarantine, damaged" : "not there",
                                 call->result_blob));
    }
  }
}

Result<Findings> check_blobs(Look& look) {
  const std::string directory = look.state.file("blobs");
  const auto blobs = TRY(open_blobs(directory));
  Findings found;
  const auto names = blob_names(directory);
  std::set<std::string> there;
  for (const std::string& name : names) {
    there.emplace(text::last_part(name));
    const auto bytes = blobs->get(text::last_part(name));
    if (bytes) look.bytes += bytes->size();
    if (!bytes) found.problems.push_back(bytes.error().message);
  }
  learn_fold(look);
  if (look.fold) add_missing(look, there, found);
  found.sum = fmt::format("{} blobs, each has its hash", names.size());
  return found;
}

Result<Findings> check_documents(Look& look) {
  const auto configuration = TRY(Configuration::open(look.state.file("etc")));
  Findings found{.sum = "valid"};
  for (const std::string& problem : configuration->problems()) {
    found.problems.push_back(fmt::format(
        "{}; its defaults hold until it is written anew, in the mount or in STATE/etc", problem));
  }
  return found;
}

Result<Findings> check_the_past(Look& look) {
  learn_fold(look);
  if (!look.fold) return fail(EBADMSG, "{}", kNoJournal);
  const auto imports =
      open_imports(look.state.file("imports"), look.state.file("trees/workspaces"), true);
  const Lender* const lender = imports && !(*imports)->all().empty() ? imports->get() : nullptr;
  const auto past = TRY(open_past(look.state.file("past"), lender));
  std::set<std::uint64_t> forgotten;
  each_order(DropOrder::directory(look.state.path()), [&](const Result<std::string>& text) {
    const auto order = text ? DropOrder::parse(*text) : std::unexpected(text.error());
    if (order) forgotten.insert(order->gone.begin(), order->gone.end());
  });
  return check_past(look.fold->history(), *past, forgotten, lender != nullptr);
}

Result<Findings> check_trees(Look& look) {
  Findings all;
  for (const ForestPaths& forest : forests(look.state)) {
    const Findings found = TRY(check_forest(forest.trees, forest.hidden));
    const std::string name(text::last_part(forest.trees));
    all.sum += fmt::format("{}{}: {}", all.sum.empty() ? "" : "; ", name, found.sum);
    for (const std::string& one : found.problems) {
      all.problems.push_back(fmt::format("{}: {}", name, one));
    }
    for (const std::string& one : found.notes) {
      all.notes.push_back(fmt::format("{}: {}", name, one));
    }
  }
  return all;
}

Result<Findings> check_repositories(Look& look) {
  Findings all;
  std::size_t objects = 0;
  const auto names = names_in(look.state.file("git"));
  for (const std::string& name : names) {
    const auto report = check_repository(look.state.file("git/" + name), look.every_byte);
    if (!report) {
      all.problems.push_back(fmt::format("{}: {}", text::shown(name), report.error().message));
      continue;
    }
    objects += report->objects;
    look.bytes += report->bytes;
    for (const std::string& one : report->found.problems) {
      all.problems.push_back(fmt::format("{}: {}", text::shown(name), one));
    }
  }
  all.sum = fmt::format("{} of turns, every ref can be read", names.size());
  if (look.every_byte) all.sum += fmt::format("; {} objects, each has its hash", objects);
  return all;
}

// They are their users', so nothing in them is mended; what is no repository is nobody's concern.
Result<Findings> check_shared_repositories(Look& look) {
  Findings all;
  std::size_t count = 0;
  const std::string top = look.state.file("trees/src/repos");
  for (const std::string& name : names_in(top)) {
    const std::string path = fmt::format("{}/{}", top, name);
    const auto has = [&](const char* part) {
      return file::exists(fmt::format("{}/{}", path, part));
    };
    if (!has("HEAD") && !has("objects") && !has("refs")) continue;
    const auto report = check_users_repository(path, look.every_byte);
    if (!report && (report.error().code == EINVAL || report.error().code == EXDEV)) {
      all.notes.push_back(
          fmt::format("{}: not checked: {}", text::shown(name), report.error().message));
      continue;
    }
    ++count;
    std::vector<std::string> problems;
    if (report) problems = report->found.problems;
    if (!report) problems.push_back(report.error().message);
    for (const std::string& one : problems) {
      all.problems.push_back(
          fmt::format("{}: {}; git fsck in it says more, and a clone has what "
                      "may be lost",
                      text::shown(name), one));
    }
    if (report) look.bytes += report->bytes;
  }
  all.sum = fmt::format("{} in /src/repos, every ref can be read", count);
  return all;
}

// Of commands on an overlay: what could not be taken over is nobody's but a person's to remove.
Result<Findings> check_commands(Look& look) {
  Findings found;
  const auto numbers = names_in(look.state.file("fast"));
  for (const std::string& number : numbers) {
    const std::string order = look.state.file(fmt::format("fast/{}/order", number));
    if (!file::exists(order)) continue;  // never begun, or done: the next mount removes it
    const auto text = file::read(order);
    const auto run = text ? FastRun::parse(*text) : std::unexpected(text.error());
    if (!run) {
      found.problems.push_back(
          fmt::format("fast/{}: {}; what the command changed lies in fast/{}/upper", number,
                      run.error().message, number));
    } else if (run->phase == FastRun::Phase::kept) {
      found.notes.push_back(
          fmt::format("fast/{}: what {} changed in {} could not be taken over and "
                      "lies in fast/{}/upper; it can be looked at and removed",
                      number, text::shown(run->command), text::shown(run->root), number));
    }
  }
  found.sum = numbers.empty() ? "none left" : fmt::format("{} left", numbers.size());
  return found;
}

Result<Findings> check_the_imports(Look& look) {
  return check_imports(look.state.file("imports"), look.state.file("trees/workspaces"));
}

// What earlier damage left: only a person knows when it is of no use any more.
Result<Findings> check_kept(Look& look) {
  Findings found;
  for (const std::string& name : names_in(look.state.path())) {
    if (name.starts_with("agentfs.sqlite.damaged-") || name.starts_with("backup-")) {
      found.notes.push_back(fmt::format("{} was set aside", name));
    }
  }
  for (const auto& [folder, prefix] :
       {std::pair{"journal", "torn-"}, std::pair{"quarantine", ""}}) {
    for (const std::string& name : names_in(look.state.file(folder))) {
      if (!name.starts_with(prefix)) continue;
      found.notes.push_back(fmt::format("{}/{} was set aside", folder, name));
    }
  }
  found.sum = found.notes.empty() ? "nothing was ever set aside"
                                  : fmt::format(
                                        "{} things set aside; they can be looked at and "
                                        "removed",
                                        found.notes.size());
  return found;
}

constexpr auto kRows = std::to_array<Row>({
    {"layout", check_layout, repair_layout},
    {"key", check_key, repair_key},
    {"journal", check_journal, repair_journal},
    {"tops", check_tops},
    {"store", check_the_store, repair_store},
    {"blobs", check_blobs, repair_blobs},
    {"documents", check_documents},
    {"past", check_the_past},
    {"trees", check_trees, repair_trees},
    {"repositories", check_repositories, repair_repositories},
    {"shared", check_shared_repositories},
    {"merges", check_merges, repair_merges},
    {"commands", check_commands},
    {"imports", check_the_imports, repair_imports},
    {"kept", check_kept},
});

}  // namespace

std::span<const Row> rows() { return kRows; }

std::vector<ForestPaths> forests(const StateDirectory& state) {
  std::vector<ForestPaths> all;
  for (const char* name : {"home", "workspaces"}) {
    all.push_back(
        {state.file(fmt::format("trees/{}", name)), state.file(fmt::format("trees/.{}", name))});
  }
  return all;
}

void print(const char* mark, const char* name, const std::string& sentence) {
  fmt::print("{:<4} {}: {}\n", mark, name, sentence);
}

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    std::string name = entry->path().filename();
    if (!file::is_unfinished(name)) names.push_back(std::move(name));
  }
  std::ranges::sort(names);
  return names;
}

std::vector<std::string> blob_names(const std::string& directory) {
  constexpr std::size_t kHashDigits = 64;
  std::vector<std::string> names;
  for (const std::string& folder : names_in(directory)) {
    for (const std::string& name : names_in(fmt::format("{}/{}", directory, folder))) {
      if (name.size() == kHashDigits) names.push_back(fmt::format("{}/{}", folder, name));
    }
  }
  return names;
}

Status open_journal(Look& look) {
  look.log = TRY(open_segments(look.state.file("journal/segments"), true));
  look.journal = TRY(Journal::open(*look.log, SigningKey::make(), look.clock));  // signs nothing
  return ok();
}

}  // namespace agentfs::fsck
