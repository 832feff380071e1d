// SPDX-License-Identifier: MIT
#include "kernel/store_check.h"

#include <unistd.h>

#include <algorithm>
#include <map>

#include "base/text.h"
#include "kernel/fold.h"

namespace agentfs {
namespace {

constexpr std::size_t kMostNamed = 10;  // of a kind of damage, in sentences of their own

using Objects = std::map<std::pair<std::string, std::string>, std::string>;

// What the journal says at `reached`.
Result<Objects> replayed(const Journal& journal, Sequence reached) {
  Fold fold;
  TRY(journal.replay({}, [&](const Record& record) {
    if (record.sequence <= reached) fold.apply(record);
    return ok();
  }));
  Objects objects;
  for (const StoredObject& object : fold.take_dirty()) {
    if (auto json = object.json()) objects[{object.collection, object.key}] = std::move(*json);
  }
  return objects;
}

void tell(Findings& found, std::vector<std::string> all, std::string_view kind) {
  for (std::size_t i = 0; i < std::min(all.size(), kMostNamed); ++i) {
    found.problems.push_back(std::move(all[i]));
  }
  if (all.size() > kMostNamed) {
    found.problems.push_back(fmt::format("{} more {}", all.size() - kMostNamed, kind));
  }
}

// Directories at the top of a workspace, "site/src", that stand for changed paths below them, and
// the record of the last change. Which paths these are is not the journal's alone: an earlier
// agentfs had a directory stand for more of them than a replay does.
using Tops = std::map<std::string, std::uint64_t, std::less<>>;

std::uint64_t sequence_of(std::string_view edit) {
  const auto value = json::parse(edit);
  const json::Array* const pair = value ? value->array() : nullptr;
  if (pair == nullptr || pair->empty()) return 0;
  return static_cast<std::uint64_t>(pair->front().number());
}

Result<Tops> tops_in(RecordStore& store, const Objects& wanted) {
  Tops tops;
  TRY(store.load(
      [&](std::string_view collection, std::string_view key, std::string_view json) -> Status {
        if (collection != "change" || std::ranges::count(key, '/') != 1) return ok();
        const std::string inside = fmt::format("{}/", key);
        const auto below = wanted.lower_bound({"change", inside});
        const bool stands_for_some = below != wanted.end() && below->first.first == collection &&
                                     below->first.second.starts_with(inside);
        if (stands_for_some) tops.emplace(key, sequence_of(json));
        return ok();
      }));
  return tops;
}

bool is_told_by_top(const Tops& tops, const Objects::value_type& wanted) {
  const auto& [collection, key] = wanted.first;
  if (collection != "change") return false;
  const auto top = tops.find(key.substr(0, key.find('/', key.find('/') + 1)));
  return top != tops.end() && top->second >= sequence_of(wanted.second);
}

// An earlier agentfs stored versions without the process that made them.
bool lacks_host_pid(std::string_view stored, const Objects::value_type& wanted) {
  const auto value = json::parse(wanted.second);
  if (wanted.first.first != "version" || !value) return false;
  FileVersion version = version_from_json(*value);
  version.host_pid = 0;
  return json::dump(to_json(version)) == stored;
}

// And commits of checkpoints without what they are of.
bool lacks_states(std::string_view stored, const Objects::value_type& wanted) {
  const auto value = json::parse(wanted.second);
  if (wanted.first.first != "checkpoints" || !value) return false;
  CheckpointCommits commits = checkpoint_commits_from_json(*value);
  commits.state.clear();
  commits.rolled_back = {};
  commits.earlier.clear();
  return json::dump(to_json(commits)) == stored;
}

Status compare(RecordStore& store, Objects wanted, Findings& found) {
  const Tops tops = TRY(tops_in(store, wanted));
  std::vector<std::string> other;
  TRY(store.load(
      [&](std::string_view collection, std::string_view key, std::string_view json) -> Status {
        // The store's own, and what is stored less often than the rest.
        if (collection == "kernel" || collection == "generation") return ok();
        const std::string where = fmt::format("{} {}", collection, text::shown(key));
        const auto object = wanted.find({std::string(collection), std::string(key)});
        if (object == wanted.end()) {
          if (collection == "change" && tops.contains(key)) return ok();
          other.push_back(fmt::format("{}: in the store, and the journal knows no such", where));
          return ok();
        }
        if (object->second != json && !is_told_by_top(tops, *object) &&
            !lacks_host_pid(json, *object) && !lacks_states(json, *object)) {
          other.push_back(fmt::format("{}: the store says other than the journal", where));
        }
        wanted.erase(object);
        return ok();
      }));
  for (const auto& object : wanted) {
    if (is_told_by_top(tops, object)) continue;
    const auto& [collection, key] = object.first;
    other.push_back(fmt::format("{} {}: missing in the store", collection, text::shown(key)));
  }
  tell(found, std::move(other), "objects that differ");
  return ok();
}

// Kept contents that are of something, by their versions.
void note(Findings& found, const std::vector<std::string>& versions, std::string_view what) {
  if (versions.empty()) return;
  found.notes.push_back(fmt::format("{} of {}: {}", text::counted(versions.size(), "content"), what,
                                    text::shown_some(versions)));
}

// What is lent is opened where its bytes lie. A copy may have its hole as zeros.
bool is_nothing_but_zeros(const PastStore& past, const FileVersion& version) {
  constexpr off_t kMost = off_t{64} << 20;
  const auto file = past.open(version.stored());
  std::string chunk(std::size_t{1} << 16, '\0');
  off_t read = 0;
  while (file && read < kMost) {
    const ssize_t got = ::pread(file->get(), chunk.data(), chunk.size(), read);
    if (got <= 0) return got == 0 && read > 0;
    const std::string_view bytes(chunk.data(), static_cast<std::size_t>(got));
    if (bytes.find_first_not_of('\0') != bytes.npos) return false;
    read += got;
  }
  return read > 0;
}

}  // namespace

Result<Findings> check_store(RecordStore& store, const Journal& journal, bool journal_is_whole) {
  TRY(store.check());
  const Sequence reached = TRY(store.reached());
  const Sequence last = journal.head().sequence;
  Findings found{.sum = fmt::format("whole, at record {}", reached.value)};
  if (!journal_is_whole) return found;
  if (reached > last) {
    found.problems.push_back(
        fmt::format("the store has reached record {}, the journal ends at {}; the next mount fills "
                    "it anew",
                    reached.value, last.value));
    return found;
  }
  TRY(compare(store, TRY(replayed(journal, reached)), found));
  found.sum +=
      fmt::format(" and as the journal says; a mount replays {} more", last.value - reached.value);
  return found;
}

Result<Findings> check_past(const History& history, const PastStore& past,
                            const std::set<std::uint64_t>& forgotten, bool may_be_lent) {
  Findings found;
  std::vector<std::string> missing;
  std::size_t contents = 0;
  std::vector<std::string> resized;
  std::vector<std::string> zeros;
  std::size_t unknown = 0;
  for (const auto& [number, version] : history.all()) {
    if (version->type != FileVersion::Type::file || forgotten.contains(number)) continue;
    ++contents;
    const auto attributes = past.attributes(version->stored());
    if (!attributes && attributes.error().code != ENOENT)
      return std::unexpected(attributes.error());
    if (!attributes) {
      missing.push_back(fmt::format(
          "version {} of {} ({} bytes) is not there; the next mount takes it out of the history",
          number, text::shown(version->path), version->size));
    } else if (static_cast<std::uint64_t>(attributes->st_size) != version->size) {
      resized.push_back(fmt::format("version {} of {}", number, version->path));
    } else if (may_be_lent && is_nothing_but_zeros(past, *version)) {
      zeros.push_back(fmt::format("version {} of {}", number, version->path));
    }
  }
  for (const PastName& name : TRY(past.list())) {
    if (history.find(name.number) == nullptr) ++unknown;
  }
  tell(found, std::move(missing), "contents are missing");
  // Who had a removed file open may have written on.
  note(found, resized, "another size than when it was kept");
  note(found, zeros,
       "nothing but zeros, as is what was an import's and has lost the mark that says where its "
       "bytes are, in a copy without extended attributes");
  if (!forgotten.empty()) {
    found.notes.push_back(
        fmt::format("{} being forgotten when the daemon ended; the next mount ends it",
                    text::counted(forgotten.size(), "version")));
  }
  if (unknown != 0) {
    found.notes.push_back(
        fmt::format("{} contents that no row tells of; the next mount adopts them", unknown));
  }
  found.sum = fmt::format("{} contents, {} bytes", contents, history.amount().bytes);
  return found;
}

}  // namespace agentfs
