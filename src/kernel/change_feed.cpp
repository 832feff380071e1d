// SPDX-License-Identifier: MIT
#include "kernel/change_feed.h"

#include <algorithm>
#include <limits>

#include "base/text.h"
#include "kernel/ended_trees.h"
#include "kernel/kinds.h"

namespace agentfs {
namespace {

// The number of the last line for who has been told of the end.
constexpr auto kNothingMore = std::numeric_limits<std::uint64_t>::max();

// Of `path` or `other`.
std::string root_in(const Record& record, std::string_view member) {
  return std::string(tree_of(json::bytes_of(record.data, member)));
}

// The workspace or home that begins with it, "" where none does.
std::string root_made_by(const Record& record) {
  const bool is_rename = record.kind == "tree.rename";
  if (record.data["exchange"].truth()) return {};
  const bool makes = is_rename || record.kind == "tree.mkdir" || record.kind == "tree.fork" ||
                     record.kind == "tree.import";
  if (!makes) return {};
  std::string path = json::bytes_of(record.data, is_rename ? "other" : "path");
  return path == tree_of(path) ? path : "";
}

// An open that may write changes nothing yet; nor does what lies ready to be renamed to its place,
// until it is: a kill may have left open whether.
bool is_change(const Record& record) {
  if (!record.kind.starts_with("tree.") || record.kind == "tree.open") return false;
  if (record.kind == "tree.rename" || !record.data["temporary"].truth()) return true;
  return record.data["of"].text() == "rename";
}

// A name, and the bytes of one that is not UTF-8.
void write_name(json::ObjectWriter& line, const json::Value& from, std::string_view member,
                std::string_view member_hex) {
  line.text_if_any(member, from[member].text());
  line.text_if_any(member_hex, from[member_hex].text());
}

// The operation and its paths. What lay ready is told by the rename to its place alone.
void write_operation(json::ObjectWriter& line, const Record& record) {
  const json::Value& data = record.data;
  const std::string_view operation = std::string_view(record.kind).substr(kind::kTreePrefix.size());
  if (data["temporary"].truth()) {
    const std::string_view made = data["kept"].is_null() ? "create" : "write";
    line.text("op", operation == "rename" ? made : operation);
    line.text_if_any("path", data["other"].text());
    line.text_if_any("path_hex", data["other_hex"].text());
    return;
  }
  line.text("op", operation);
  write_name(line, data, "path", "path_hex");
  write_name(line, data, "other", "other_hex");
}

void write_number_if_any(json::ObjectWriter& line, std::string_view name, std::int64_t number) {
  if (number > 0) line.number(name, number);
}

// Of a change in a workspace or home.
std::string text_of(const Record& record) {
  const json::Value& data = record.data;
  std::string text;
  text.reserve(320);
  json::ObjectWriter line(text);
  line.number("seq", static_cast<std::int64_t>(record.sequence.value));
  write_time(line, record.time, 3);
  write_operation(line, record);
  if (data["exchange"].truth()) line.member("exchange") += "true";
  write_name(line, data, "name", "name_hex");
  line.text_if_any("undo", data["undo"].text());
  write_name(line, data, "checkpoint", "checkpoint_hex");
  write_number_if_any(line, "bytes", data["bytes"].number());
  write_number_if_any(line, "version", data["kept"]["number"].number());
  line.text_if_any("not_kept", data["kept"]["reason"].text());
  line.text_if_any("unfinished", data["unfinished"].text());
  write_lineage(line, record.author);
  line.text("user", record.author.user);
  line.text_if_any("command", record.author.command);
  line.text_if_any("via", record.author.via);
  line.end();
  text += '\n';
  text.shrink_to_fit();
  return text;
}

// What a line of the feed takes, with what the allocator adds to a text.
std::size_t weight_of(const auto& line) {
  constexpr std::size_t kAdded = 16;
  return sizeof line + kAdded + line.text.capacity() + line.root.capacity() +
         line.other_root.capacity();
}

}  // namespace

std::string change_line(const Record& record) {
  if (!is_change(record)) return {};
  if (root_in(record, "path").empty() && root_in(record, "other").empty()) return {};
  return text_of(record);
}

bool is_change_of(const Record& record, std::string_view root) {
  return is_change(record) &&
         (root.empty() || root_in(record, "path") == root || root_in(record, "other") == root);
}

Result<std::string> changes_since(const Journal& journal, Sequence after, std::string_view root) {
  std::string out;
  std::size_t lines = 0;
  const auto add = [&](const Record& record, std::string_view) -> Status {
    if (!is_change_of(record, root)) return ok();
    const std::string line = change_line(record);
    if (line.empty()) return ok();  // of /tmp
    if (lines++ == ChangeFeed::kMostLines) return fail(ECANCELED, "enough");
    out += line;
    return ok();
  };
  std::vector<std::string> damaged;  // told by /sys/journal/verify
  const Status read = journal.replay_readable(after, add, damaged);
  if (!read && read.error().code != ECANCELED) return std::unexpected(read.error());
  return out;
}

std::optional<ChangeFeed::Line> ChangeFeed::Line::of(const Record& record) {
  if (!is_change(record)) return std::nullopt;
  Line line{.record = record.sequence,
            .root = root_in(record, "path"),
            .other_root = root_in(record, "other")};
  if (line.root.empty() && line.other_root.empty()) return std::nullopt;
  if (line.other_root == line.root) line.other_root.clear();
  line.ended = trees_ended_by(record);
  line.exchanges = record.data["exchange"].truth();
  line.is_of_top = json::bytes_of(record.data, "path") == line.root;
  line.text = text_of(record);
  return line;
}

void ChangeFeed::add(const Record& record) {
  auto line = Line::of(record);
  if (!line) return;
  std::string made = root_made_by(record);
  Lock lock(mutex_);
  for (const std::string& root : line->ended) {
    if (!line->exchanges) whole_.erase(root);
  }
  if (!made.empty()) whole_.insert(std::move(made));
  line->number = ++last_;
  bytes_ += weight_of(*line);
  lines_.push_back(*std::move(line));
  while (bytes_ > kMostBytes) retire_oldest();
}

void ChangeFeed::begin_after(Sequence record) {
  Lock lock(mutex_);
  begun_after_ = record;
}

std::optional<Sequence> ChangeFeed::missing(const std::string& root, Sequence after) const {
  Lock lock(mutex_);
  if (after >= begun_after_ || root.empty() || whole_.contains(root)) return std::nullopt;
  std::size_t known = 0;
  if (const auto older = older_.find(root); older != older_.end()) known = older->second.size();
  for (auto line = lines_.rbegin(); line != lines_.rend() && known < kFloor; ++line) {
    if (line->is_of(root)) ++known;
  }
  return known < kFloor ? std::optional(begun_after_) : std::nullopt;
}

void ChangeFeed::add_missing(const std::string& root, const std::vector<Record>& records) {
  Lock lock(mutex_);
  if (!whole_.insert(root).second) return;  // another reader was first
  std::deque<Line>& older = older_[root];
  for (auto record = records.rbegin(); record != records.rend() && older.size() < kFloor;
       ++record) {
    if (auto line = Line::of(*record)) older.push_front(*std::move(line));
  }
}

Result<std::string> newest_changes(const Journal& journal, ChangeFeed& feed,
                                   const std::string& root, Sequence after) {
  if (const auto last = feed.missing(root, after)) {
    std::deque<Record> found;
    const auto add = [&](const Record& record, std::string_view) -> Status {
      if (record.sequence > *last) return fail(ECANCELED, "enough");
      if (!is_change_of(record, root)) return ok();
      found.push_back(record);
      if (found.size() > ChangeFeed::kFloor) found.pop_front();
      return ok();
    };
    std::vector<std::string> damaged;  // told by /sys/journal/verify
    const Status read = journal.replay_readable(after, add, damaged);
    if (!read && read.error().code != ECANCELED) return std::unexpected(read.error());
    feed.add_missing(root, {found.begin(), found.end()});
  }
  return feed.text(root, after);
}

void ChangeFeed::retire_oldest() {
  const Line line = std::move(lines_.front());
  lines_.pop_front();
  bytes_ -= weight_of(line);
  for (const std::string* const root : {&line.root, &line.other_root}) {
    if (root->empty()) continue;
    std::deque<Line>& older = older_[*root];
    older.push_back(line);
    if (older.size() > kFloor) older.pop_front();
  }
  // What is gone, or has another name, has no lines to keep.
  for (const std::string& root : line.ended) {
    if (!line.exchanges) older_.erase(root);
  }
}

// Who follows what is gone, or has another name, is not told of what has its path then.
std::vector<ChangeFeed::Parcel> ChangeFeed::untold() {
  std::vector<Parcel> parcels;
  for (auto& [id, follower] : followers_) {
    if (follower.told == kNothingMore) continue;
    Parcel parcel{.subscription = id, .receiver = follower.receiver};
    auto line = std::ranges::upper_bound(lines_, follower.told, {}, &Line::number);
    follower.told = last_;
    for (; line != lines_.end() && !parcel.is_last && !parcel.may_go_on; ++line) {
      if (line->is_of(follower.root)) parcel.text += line->text;
      parcel.is_last = std::ranges::find(line->ended, follower.root) != line->ended.end();
      if (!line->is_of_top || line->root != follower.root) continue;
      parcel.may_go_on = follower.may_go_on;
      follower.told = line->number;  // the rest is told, if at all, when that is known
    }
    if (parcel.is_last) follower.told = kNothingMore;
    if (!parcel.text.empty() || parcel.is_last) parcels.push_back(std::move(parcel));
  }
  return parcels;
}

void ChangeFeed::tell() {
  if (!followed_) return;
  {
    Lock lock(mutex_);
    if (telling_) return;  // who tells looks again before it ends
    telling_ = true;
  }
  for (;;) {
    std::vector<Parcel> parcels;
    {
      Lock lock(mutex_);
      parcels = untold();
      if (parcels.empty()) {
        telling_ = false;
        return;
      }
    }
    for (const Parcel& one : parcels) {
      const bool is_last = one.is_last || (one.may_go_on && !one.may_go_on());
      if (is_last) end(one.subscription);
      one.receiver(one.text, is_last);
    }
  }
}

void ChangeFeed::end(std::uint64_t subscription) {
  Lock lock(mutex_);
  const auto found = followers_.find(subscription);
  if (found != followers_.end()) found->second.told = kNothingMore;
}

std::string ChangeFeed::text(const std::string& root, Sequence after) const {
  Lock lock(mutex_);
  return lines_of(root, [&](const Line& line) { return line.record <= after; }, kMostLines);
}

template <class Known>
std::string ChangeFeed::lines_of(std::string_view root, const Known& known,
                                 std::size_t most) const {
  std::vector<const Line*> wanted;
  std::vector<const std::deque<Line>*> held = {&lines_};
  if (const auto older = older_.find(root); older != older_.end()) held.push_back(&older->second);
  for (const std::deque<Line>* const lines : held) {
    for (auto line = lines->rbegin(); line != lines->rend() && wanted.size() < most; ++line) {
      if (known(*line)) break;
      if (line->is_of(root)) wanted.push_back(&*line);
    }
  }
  std::string out;
  for (auto line = wanted.rbegin(); line != wanted.rend(); ++line) out += (*line)->text;
  return out;
}

std::uint64_t ChangeFeed::subscribe(const std::string& root, Receiver receiver, MayGoOn may_go_on) {
  Lock lock(mutex_);
  followers_.emplace(next_subscription_,
                     Follower{root, std::move(receiver), std::move(may_go_on), last_});
  followed_ = true;
  return next_subscription_++;
}

void ChangeFeed::unsubscribe(std::uint64_t subscription) {
  Follower dropped;  // destroyed after the lock
  Lock lock(mutex_);
  const auto found = followers_.find(subscription);
  if (found == followers_.end()) return;
  dropped = std::move(found->second);
  followers_.erase(found);
  followed_ = !followers_.empty();
}

}  // namespace agentfs
