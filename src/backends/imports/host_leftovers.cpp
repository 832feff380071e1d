// SPDX-License-Identifier: MIT
// What a write to the directory of an import leaves when a crash cuts it short.
#include <unistd.h>

#include <algorithm>
#include <ranges>

#include "backends/imports/host_writer.h"
#include "base/temporary_name.h"
#include "base/text.h"

namespace agentfs::imports {
namespace {

// Without a path: what goes is before it, what comes behind.
struct Step {
  std::string path{};
  std::string temporary{};
  bool comes = true;  // of an earlier version, what goes, too
};

std::vector<Step> steps_from_pairs(std::string_view text) {
  std::vector<Step> steps;
  const auto words = text::split(text, '\0');
  for (std::size_t i = 0; i + 1 < words.size(); i += 2) {
    steps.push_back({std::string(words[i]), std::string(words[i + 1])});
  }
  const auto end = std::ranges::find(steps, "", &Step::path);
  if (end == steps.end()) return steps;  // of an earlier version
  for (auto step = steps.begin(); step != end; ++step) step->comes = false;
  return steps;
}

std::vector<Step> steps_from(std::string_view text) {
  if (text.starts_with(kPairs)) return steps_from_pairs(text.substr(1));
  std::vector<Step> steps;
  for (const std::string_view word : text::split(text, '\0')) {
    const bool is_temporary = is_temporary_name(text::last_part(word));
    if (!is_temporary && !word.empty()) steps.push_back({std::string(word), {}});
    if (!is_temporary) continue;
    if (steps.empty() || !steps.back().temporary.empty()) steps.emplace_back();
    steps.back().temporary = word;
  }
  return steps;
}

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

Status remove_temporaries(const ImportRecords& records) {
  const bool has_begun = file::exists(steps_of(records));
  const std::string intent = has_begun ? steps_of(records) : intent_of(records);
  if (!file::exists(intent)) return ok();
  const std::vector<Step> steps = steps_from(TRY(file::read(intent)));
  const auto host = HostDirectory::open(records.source());
  if (!host) return ok();
  if (has_begun) TRY(records.add_written(made_of(steps, *host)));
  for (const Step& step : steps) {
    if (step.temporary.empty()) continue;
    const auto place = host->place(step.temporary);
    if (place) ::unlinkat(place->directory.get(), place->name.c_str(), 0);
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
