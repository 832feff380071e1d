// SPDX-License-Identifier: MIT
// The parts of a state, and what fsck does with each.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "backends/log_store.h"
#include "base/clock.h"
#include "base/findings.h"
#include "kernel/fold.h"
#include "kernel/journal.h"
#include "quarantine.h"
#include "state_directory.h"

namespace agentfs::fsck {

// What one row learns and another one needs. One thread.
struct Look {
  const StateDirectory& state;
  bool every_byte = false;
  SystemClock clock{};
  std::unique_ptr<LogStore> log{};
  std::unique_ptr<Journal> journal{};  // null where it cannot be read
  bool journal_is_whole = false;
  std::optional<Fold> fold{};  // what the state says, where that can be known
  std::uint64_t bytes = 0;     // that were read to compare a hash
  // Directories that were gone with what the journal knows in them. They were made to be looked at,
  // and go again where nothing is to be mended, so that the next look tells of them as well.
  std::set<std::string> gone{};
};

using Sentences = std::vector<std::string>;

struct Row {
  const char* name = "";
  Result<Findings> (*check)(Look& look) = nullptr;
  // Mends what needs no guessing, moving to the quarantine what is damaged; what was done. Null
  // where nothing can be.
  Result<Sentences> (*repair)(const StateDirectory& state, const Quarantine& quarantine) = nullptr;
};
// In this order.
std::span<const Row> rows();

// Of the two directories of trees that fork.
struct ForestPaths {
  std::string trees;
  std::string hidden;
};
std::vector<ForestPaths> forests(const StateDirectory& state);

// A line of what fsck says.
void print(const char* mark, const char* name, const std::string& sentence);

// --- what is lent or hollow made complete (fsck_solidify.cpp); false: not all could be
bool solidify(const StateDirectory& state);

// --- of the directories themselves (fsck_layout.cpp)
Result<Findings> check_layout(Look& look);
Result<Findings> check_tops(Look& look);
Result<Sentences> repair_layout(const StateDirectory& state, const Quarantine& quarantine);

// --- of merges (fsck_merges.cpp)
Result<Findings> check_merges(Look& look);
Result<Sentences> repair_merges(const StateDirectory& state, const Quarantine& quarantine);

// --- the repairs
Result<Sentences> repair_key(const StateDirectory& state, const Quarantine& quarantine);
Result<Sentences> repair_journal(const StateDirectory& state, const Quarantine& quarantine);
Result<Sentences> repair_store(const StateDirectory& state, const Quarantine& quarantine);
Result<Sentences> repair_blobs(const StateDirectory& state, const Quarantine& quarantine);
Result<Sentences> repair_trees(const StateDirectory& state, const Quarantine& quarantine);
Result<Sentences> repair_imports(const StateDirectory& state, const Quarantine& quarantine);
Result<Sentences> repair_repositories(const StateDirectory& state, const Quarantine& quarantine);

// Names of regular files below a directory that have a blob's form, relative to it.
std::vector<std::string> blob_names(const std::string& directory);
// Names in a directory, sorted; none where it is not there.
std::vector<std::string> names_in(const std::string& directory);
// Opens the journal for reading, as it is.
Status open_journal(Look& look);

}  // namespace agentfs::fsck
