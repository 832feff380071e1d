// SPDX-License-Identifier: MIT
#include "kernel/conflict_records.h"

#include <ranges>

#include "base/json.h"
#include "base/text.h"
#include "kernel/checked_line.h"
#include "kernel/merge_bases.h"

namespace agentfs {
namespace {

constexpr std::string_view kSettled = "-";  // in place of a number

json::Array elements_of(const json::Value& value) {
  const json::Array* const all = value.array();
  return all != nullptr ? *all : json::Array();
}

}  // namespace

// A line for the merge, with a check of the others, then one for each conflict: its number, a blank
// and what it is.
std::string stored(const MergeConflicts& conflicts) {
  json::Value head;
  head.set("from", std::uint64_t{conflicts.from});
  head.set("base", value_of(conflicts.base)).set("state", value_of(conflicts.state));
  if (conflicts.theirs != SnapshotId{}) head.set("theirs", value_of(conflicts.theirs));
  if (!conflicts.is_partial) head.set("refused", true);
  head.set("last", conflicts.last);
  if (conflicts.after) head.set("after", *conflicts.after);
  json::Array ended;
  for (const auto& [path, states] : conflicts.ended_after) {
    json::Array one{json::element_of(path)};
    for (const std::uint64_t state : states) one.emplace_back(state);
    ended.emplace_back(std::move(one));
  }
  if (!ended.empty()) head.set("ended", std::move(ended));
  std::string lines;
  for (const auto& [number, one] : conflicts.left) {
    lines += fmt::format("{} {}\n", number, to_text(one));
  }
  for (const MergeConflict& one : conflicts.settled) {
    lines += fmt::format("{} {}\n", kSettled, to_text(one));
  }
  head.set("check", check_of(lines));
  return json::dump(head) + "\n" + lines;
}

Result<MergeConflicts> conflicts_in(std::string_view text) {
  if (!text.ends_with('\n')) return fail(EBADMSG, "cut off, or empty");
  const auto lines = text::split(text, '\n');
  const json::Value head = TRY(json::parse(lines.front()));
  const std::string_view check = head["check"].text();  // earlier builds wrote none
  if (!check.empty() && check != check_of(text.substr(lines.front().size() + 1))) {
    return fail(EBADMSG, "not what was written: its check is another");
  }
  MergeConflicts all{.from = static_cast<std::uint32_t>(head["from"].number()),
                     .base = snapshot_of(head["base"]),
                     .is_partial = !head["refused"].truth()};
  all.state = snapshot_of(head["state"]);
  all.theirs = snapshot_of(head["theirs"]);
  if (const std::int64_t after = head["after"].number(-1); after >= 0) {
    all.after = static_cast<std::uint64_t>(after);
  }
  for (const json::Value& one : elements_of(head["ended"])) {
    const json::Array words = elements_of(one);
    for (const json::Value& state : words | std::views::drop(1)) {
      all.ended_after[json::bytes_of(words.front()).value_or("")].push_back(
          static_cast<std::uint64_t>(state.number()));
    }
  }
  for (const std::string_view line : lines | std::views::drop(1)) {
    if (line.empty()) continue;
    const auto blank = line.find(' ');
    const std::string_view number = line.substr(0, blank);
    MergeConflict one = TRY(conflict_of(line.substr(std::min(blank, line.size() - 1) + 1)));
    if (number == kSettled) {
      all.settled.push_back(std::move(one));
    } else if (const auto at = text::number<std::uint64_t>(number)) {
      all.left.emplace(*at, std::move(one));
    }
  }
  all.last = static_cast<std::uint64_t>(head["last"].number());  // not told before: 0
  if (!all.left.empty()) all.last = std::max(all.last, all.left.rbegin()->first);
  return all;
}

}  // namespace agentfs
