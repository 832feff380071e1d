// SPDX-License-Identifier: MIT
#include "fsck.h"

#include "backends/forest.h"
#include "backends/imports/imports.h"
#include "base/log.h"
#include "base/text.h"
#include "dead_daemons.h"
#include "fsck_rows.h"
#include "migrations.h"

namespace agentfs {
namespace {

using fsck::Look;
using fsck::Row;

void print(const char* mark, const char* name, const std::string& sentence) {
  fmt::print("{:<4} {}: {}\n", mark, name, sentence);
}

bool report(const char* name, const Result<Findings>& found) {
  if (!found) {
    print("FAIL", name, found.error().message);
    return false;
  }
  for (const std::string& problem : found->problems) print("FAIL", name, problem);
  if (found->whole()) print("ok", name, found->sum);
  for (const std::string& note : found->notes) print("note", name, note);
  return found->whole();
}

bool repair(const StateDirectory& state) {
  const Quarantine quarantine(state.path());
  bool done = true;
  for (const Row& row : fsck::rows()) {
    if (row.repair == nullptr) continue;
    const auto mended = row.repair(state, quarantine);
    if (!mended) print("FAIL", row.name, fmt::format("not mended: {}", mended.error().message));
    done = done && mended;
    for (const std::string& sentence : mended.value_or(fsck::Sentences())) {
      print("mend", row.name, sentence);
    }
  }
  return done;
}

// Also of trees that no forest knows, in which files may be lent after a copy. One of which not all
// can be had, since a file there has changed since it was imported, stops no other.
Result<bool> solidify(const std::string& trees, const std::string& hidden, const Lender& lender) {
  const auto forest = TRY(open_forest(trees, hidden, {.lender = &lender}));
  const std::string_view kind = text::last_part(trees);
  std::size_t count = 0;
  bool done = true;
  for (const std::string& name : fsck::names_in(trees)) {
    if (name.starts_with(kHiddenTree)) continue;
    const TreeNodeRef tree = TRY(forest->tree(name)).node;
    if (tree->type() != S_IFDIR) continue;
    const Status filled = forest->solidify(*tree, true);
    if (filled) {
      ++count;
      continue;
    }
    done = false;
    print("FAIL", "solidify",
          fmt::format("{}/{}: {}. All else is there; what its source has no more is given up by "
                      "removing the file, or the workspace, in the mount",
                      kind, text::shown(name), filled.error().message));
  }
  print("ok", "solidify",
        fmt::format("{}: {} trees are plain directories; directories filled for that: {}", kind,
                    count, forest->counts().filled));
  return done;
}

bool solidify(const StateDirectory& state) {
  const auto imports = open_imports(state.file("imports"), state.file("trees/workspaces"), true);
  if (!imports) {
    print("FAIL", "solidify", imports.error().message);
    return false;
  }
  bool done = true;
  for (const fsck::ForestPaths& forest : fsck::forests(state)) {
    const auto filled = solidify(forest.trees, forest.hidden, **imports);
    if (!filled) print("FAIL", "solidify", filled.error().message);
    done = done && filled.value_or(false);
  }
  if (const Status told = done ? (*imports)->set_astray(false) : ok(); !told) {
    print("FAIL", "solidify", told.error().message);
    return false;
  }
  return done;
}

}  // namespace

int run_fsck(const FsckOptions& options) {
  const std::string& path = options.state;
  if (!file::exists(path)) {
    fmt::print(stderr, "agentfs fsck: {}: there is no state here; --state names one\n", path);
    return 2;
  }
  if (const Status ours = StateDirectory::check_owner(path); !ours) {
    fmt::print(stderr, "agentfs fsck: {}\n", ours.error().message);
    return 2;
  }
  if (const Status ended = end_dying(read_daemon_pid(path), ""); !ended) {
    fmt::print(stderr, "agentfs fsck: {}: {}\n", path, ended.error().message);
    return 2;
  }
  auto state = StateDirectory::acquire(path);
  if (!state) {
    fmt::print(stderr, "agentfs fsck: {}\n", state.error().message);
    return 2;
  }
  bool whole = true;
  if (options.repair) whole = repair(*state);
  Look look{.state = *state, .every_byte = options.rehash};
  for (const Row& row : fsck::rows()) whole = report(row.name, row.check(look)) && whole;
  print("ok", "format", fmt::format("{}", text::trim(file::read(path + "/format").value_or(""))));
  if (options.rehash) {
    print("ok", "rehash", fmt::format("{} bytes read that have a hash", look.bytes));
  }
  if (options.solidify) whole = solidify(*state) && whole;
  return whole ? 0 : 1;
}

}  // namespace agentfs
