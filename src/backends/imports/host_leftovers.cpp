// SPDX-License-Identifier: MIT
// What a write to the directory of an import leaves when a crash cuts it short.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ranges>

#include "backends/imports/host_drift.h"
#include "backends/imports/host_steps.h"
#include "backends/imports/host_writer.h"
#include "base/log.h"
#include "base/text.h"

namespace agentfs::imports {
namespace {

// Its file is gone from a directory that is there.
bool is_in_place(const HostDirectory& host, const Step& step) {
  if (step.temporary.empty() || !step.comes) return false;
  const auto file = host.look(step.temporary);
  const auto above = host.look(std::string(text::parent_part(step.temporary)));
  return file && !file->exists() && above && above->is_directory();
}

// The first that a crash has left undone, where nothing has come to its place yet: what is gone
// behind it is another's to have removed.
std::vector<Step>::const_iterator end_of_removals(const std::vector<Step>& steps,
                                                  const HostDirectory& host) {
  return std::ranges::find_if(steps, [&](const Step& step) {
    if (step.comes) return true;
    const auto now = host.look(step.path);
    return !now || now->exists();
  });
}

// They are made one after the other, so all before one whose file has gone to its place.
std::vector<std::string> made_of(const std::vector<Step>& steps, const HostDirectory& host) {
  const auto last = std::ranges::find_if(steps | std::views::reverse,
                                         [&](const Step& step) { return is_in_place(host, step); });
  std::vector<std::string> made;
  const auto end = std::max(last.base(), end_of_removals(steps, host));
  for (auto step = steps.begin(); step != end; ++step) {
    if (!step->path.empty()) made.push_back(step->path);
  }
  return made;
}

bool is_ours(const Step& step, const Result<FileState>& now) {
  if (!now) return false;
  return !step.ours || std::ranges::any_of(*step.ours, [&](const FileState& one) {
    return has_same_bytes(one, *now);
  });
}

void remove_at(const HostDirectory::Place& place) {
  ::unlinkat(place.directory.get(), place.name.c_str(), 0);
}

// What somebody saved at the path was moved out of it to be looked at, which a crash prevented. It
// goes back where nothing but ours has come to its place.
bool put_back(const HostDirectory& host, const Step& step, const HostDirectory::Place& from) {
  const auto to = host.place(step.path);
  if (!to) return false;
  if (rename_with(from, *to, RENAME_NOREPLACE) == 0) return true;
  const auto there = host.look(step.path);
  const bool is_staged = step.comes && there && has_same_bytes(step.ours->front(), *there);
  if (!is_staged || rename_with(from, *to, RENAME_EXCHANGE) != 0) return false;
  if (is_ours(step, host.look(step.temporary))) remove_at(from);
  return true;
}

void settle_temporary(const HostDirectory& host, const Step& step) {
  const auto place = host.place(step.temporary);
  const auto now = host.look(step.temporary);
  if (!place || (now && !now->exists())) return;
  const bool is_half_staged = step.comes && step.ours && !step.ours->front().exists();
  if (is_half_staged || is_ours(step, now)) return remove_at(*place);
  if (put_back(host, step, *place)) return;
  log::warning("{}: is what somebody saved as {} while a commit was written there",
               host.shown(step.temporary), host.shown(step.path));
}

Status remove_temporaries(const ImportRecords& records) {
  const bool has_begun = file::exists(steps_of(records));
  const std::string intent = has_begun ? steps_of(records) : intent_of(records);
  if (!file::exists(intent)) return ok();
  const std::vector<Step> steps = steps_from(TRY(file::read(intent)));
  const auto host = source_of(records);
  if (!host) return ok();
  if (has_begun) TRY(records.add_written(made_of(steps, *host)));
  for (const Step& step : steps) {
    if (!step.temporary.empty()) settle_temporary(*host, step);
  }
  return file::remove(intent);
}

}  // namespace

// Their directories are open until these are gone.
Status remove_leftovers(const ImportRecords& records) {
  TRY(remove_temporaries(records));
  return HostRights::mend(records);
}

}  // namespace agentfs::imports
