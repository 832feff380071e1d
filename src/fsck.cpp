// SPDX-License-Identifier: MIT
#include "fsck.h"

#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "dead_daemons.h"
#include "fsck_rows.h"
#include "migrations.h"

namespace agentfs {
namespace {

using fsck::Look;
using fsck::print;
using fsck::Row;

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

}  // namespace

int run_fsck(const FsckOptions& options) {
  const std::string& path = options.state;
  if (!StateDirectory::is_there(path)) {
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
  auto state = StateDirectory::acquire(path, StateDirectory::Use::check);
  if (!state) {
    fmt::print(stderr, "agentfs fsck: {}\n", state.error().message);
    return 2;
  }
  for (const std::string& problem : state->problems()) print("mend", "format", problem);
  bool whole = true;
  if (options.repair) whole = repair(*state);
  Look look{.state = *state, .every_byte = options.rehash};
  for (const Row& row : fsck::rows()) whole = report(row.name, row.check(look)) && whole;
  print("ok", "format", fmt::format("{}", text::trim(file::read(path + "/format").value_or(""))));
  if (options.rehash) {
    print("ok", "rehash", fmt::format("{} bytes read that have a hash", look.bytes));
  }
  if (options.solidify) whole = fsck::solidify(*state) && whole;
  for (const std::string& name : look.gone) {
    if (!options.repair) ::rmdir(state->file(name).c_str());
  }
  return whole ? 0 : 1;
}

}  // namespace agentfs
