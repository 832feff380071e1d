// SPDX-License-Identifier: MIT
// What fsck asks about imports.
#include <algorithm>

#include "backends/import_names.h"
#include "backends/imports/check_lent.h"
#include "backends/imports/import_records.h"
#include "backends/imports/imports.h"
#include "base/directory.h"
#include "base/text.h"

namespace agentfs {

std::vector<std::uint32_t> imports_with_trees(const std::string& trees) {
  std::vector<std::uint32_t> ids;
  for (const HostEntry& entry : entries_in(trees)) {
    if (const auto id = import_names::id_of(entry.name)) ids.push_back(*id);
  }
  std::ranges::sort(ids);
  return ids;
}

namespace {

void check_records(const imports::ImportRecords& records, std::uint32_t id,
                   const std::string& trees, Findings& found) {
  if (const auto torn = records.torn()) {
    found.notes.push_back(
        fmt::format("import {}: the records do not end with a line; --repair, or the next one, "
                    "sets aside what is no record ({} bytes)",
                    id, *torn));
  }
  imports::check_lent(records, id, fmt::format("{}/{}{}", trees, kHiddenTree, id), found);
  imports::check_kept(records, id, found);
}

}  // namespace

Result<Findings> check_imports(const std::string& directory, const std::string& trees) {
  Findings found{.sum = "none"};
  const std::vector<std::uint32_t> read = imports_with_trees(trees);
  for (const std::uint32_t id : read) {
    if (file::exists(fmt::format("{}/{}", directory, id))) continue;
    found.problems.push_back(fmt::format(
        "import {}: {}/{} is gone; what is lent of it cannot be read", id, directory, id));
  }
  if (file::is_absent(directory)) return found;
  std::vector<imports::NumberedRecords> all;
  for (const HostEntry& entry : TRY(list_directory(directory))) {
    const std::string& name = entry.name;
    const std::string path = fmt::format("{}/{}", directory, name);
    if (name == imports::kAstray) continue;
    if (imports::ImportRecords::is_unmade(path, trees)) {
      found.notes.push_back(
          fmt::format("import {}: was never made; the next mount removes it", name));
      continue;
    }
    const auto records = imports::ImportRecords::load(path);
    if (!records) {
      found.problems.push_back(fmt::format("import {}: {}; what is lent of it cannot be read", name,
                                           records.error().message));
      continue;
    }
    const auto id = text::number<std::uint32_t>(name).value_or(0);
    check_records(**records, id, trees, found);
    all.push_back({id, *records});
    const std::string& source = (*records)->source();
    // Of one whose workspace is gone, versions may be lent.
    if (std::ranges::binary_search(read, id) && !file::exists(source)) {
      found.notes.push_back(fmt::format("import {}: {} is not there", name, text::shown(source)));
    }
  }
  std::vector<std::string> tops;
  for (const HostEntry& tree : entries_in(trees)) {
    if (import_names::id_of(tree.name)) continue;
    tops.push_back(fmt::format("{}/{}", trees, tree.name));
    imports::check_unmarked(all, tops.back(), found);
  }
  const std::string above(text::parent_part(trees));
  const std::string lines = fmt::format("{}/.workspaces/lines", above);
  imports::check_lines(all, lines, found);
  tops.push_back(lines);
  found.sum = fmt::format("{} directories of the host, their records can be read", all.size());
  std::erase_if(all, [](const auto& one) { return !file::exists(one.records->source()); });
  imports::check_bytes(all, tops, found);
  return found;
}

// What cannot be read at all is told by the check.
Result<std::vector<std::string>> mend_imports(const std::string& directory) {
  std::vector<std::string> done;
  for (const HostEntry& entry : entries_in(directory)) {
    if (!text::number<std::uint32_t>(entry.name)) continue;
    const auto records = imports::ImportRecords::load(fmt::format("{}/{}", directory, entry.name));
    const std::string kept = records ? TRY((*records)->set_torn_aside()) : std::string();
    if (kept.empty()) continue;
    done.push_back(
        fmt::format("import {}: the records did not end with a line; what was no record "
                    "is in {}",
                    entry.name, kept));
  }
  return done;
}

}  // namespace agentfs
