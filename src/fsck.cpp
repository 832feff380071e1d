// SPDX-License-Identifier: MIT
#include "fsck.h"

#include <filesystem>

#include "backends/blobs/blobs.h"
#include "backends/segments/segments.h"
#include "backends/sqlite/sqlite.h"
#include "base/clock.h"
#include "base/text.h"
#include "kernel/configuration.h"
#include "kernel/journal.h"
#include "state_directory.h"

namespace agentfs {
namespace {

bool report(const char* what, const Result<std::string>& found) {
  if (found) {
    fmt::print("ok   {}: {}\n", what, *found);
  } else {
    fmt::print("FAIL {}: {}\n", what, found.error().message);
  }
  return found.has_value();
}

Result<std::string> check_journal(const StateDirectory& state, Sequence& last) {
  const SystemClock clock;
  auto log = TRY(open_segments(state.file("journal/segments")));
  SigningKey key = TRY(SigningKey::ensure(state.file("keys/journal.ed25519")));
  auto journal = TRY(Journal::open(*log, std::move(key), clock));
  last = journal->head().sequence;
  TRY(journal->verify());
  return fmt::format("{} records, the chain is whole", last.value);
}

// `last` is the journal's end, where that is known.
Result<std::string> check_store(const StateDirectory& state, std::optional<Sequence> last) {
  auto store = TRY(open_sqlite(state.file("agentfs.sqlite")));
  TRY(store->check());
  const Sequence reached = TRY(store->reached());
  if (!last) return fmt::format("whole, at record {}", reached.value);
  if (reached > *last) {
    return fail(EBADMSG,
                "the store has reached record {}, the journal ends at {}; the next mount "
                "fills it anew",
                reached.value, last->value);
  }
  return fmt::format("whole, at record {}; a mount replays {} more", reached.value,
                     last->value - reached.value);
}

Result<std::string> check_blobs(const StateDirectory& state) {
  auto blobs = TRY(open_blobs(state.file("blobs")));
  std::size_t count = 0;
  std::error_code error;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(state.file("blobs"), error)) {
    const std::string name = entry.path().filename();
    if (!entry.is_regular_file() || name.size() != 64) continue;
    TRY(blobs->get(name));
    ++count;
  }
  if (error) return fail_errno(error.value(), state.file("blobs"));
  return fmt::format("{} blobs, each has its hash", count);
}

Result<std::string> check_documents(const StateDirectory& state) {
  auto configuration = TRY(Configuration::open(state.file("etc")));
  const auto problems = configuration->problems();
  if (!problems.empty()) return fail(EBADMSG, "{}", text::join(problems, "; "));
  return std::string("valid");
}

}  // namespace

int run_fsck(const std::string& path) {
  if (!file::exists(path)) {
    fmt::print(stderr, "agentfs fsck: {}: there is no state here; --state names one\n", path);
    return 2;
  }
  auto state = StateDirectory::acquire(path);
  if (!state) {
    fmt::print(stderr, "agentfs fsck: {}\n", state.error().message);
    return 2;
  }
  Sequence last;
  bool whole = report("journal", check_journal(*state, last));
  whole = report("store", check_store(*state, whole ? std::optional(last) : std::nullopt)) && whole;
  whole = report("blobs", check_blobs(*state)) && whole;
  whole = report("documents", check_documents(*state)) && whole;
  return whole ? 0 : 1;
}

}  // namespace agentfs
