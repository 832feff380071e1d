// SPDX-License-Identifier: MIT
#include "kernel/store_check.h"

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

Status compare(RecordStore& store, Objects wanted, Findings& found) {
  std::vector<std::string> other;
  TRY(store.load(
      [&](std::string_view collection, std::string_view key, std::string_view json) -> Status {
        // The store's own, and what is stored less often than the rest.
        if (collection == "kernel" || collection == "generation") return ok();
        const std::string where = fmt::format("{} {}", collection, text::shown(key));
        const auto object = wanted.find({std::string(collection), std::string(key)});
        if (object == wanted.end()) {
          other.push_back(fmt::format("{}: in the store, and the journal knows no such", where));
          return ok();
        }
        if (object->second != json) {
          other.push_back(fmt::format("{}: the store says other than the journal", where));
        }
        wanted.erase(object);
        return ok();
      }));
  for (const auto& [place, json] : wanted) {
    other.push_back(
        fmt::format("{} {}: missing in the store", place.first, text::shown(place.second)));
  }
  tell(found, std::move(other), "objects that differ");
  return ok();
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

Result<Findings> check_past(const History& history, const PastStore& past) {
  Findings found;
  std::vector<std::string> missing;
  std::size_t contents = 0;
  std::size_t resized = 0;
  std::size_t unknown = 0;
  for (const auto& [number, version] : history.all()) {
    if (version->type != FileVersion::Type::file) continue;
    ++contents;
    const auto attributes = past.attributes({number, version->path});
    if (!attributes && attributes.error().code != ENOENT)
      return std::unexpected(attributes.error());
    if (!attributes) {
      missing.push_back(fmt::format(
          "version {} of {} ({} bytes) is not there; the next mount takes it out of the history",
          number, text::shown(version->path), version->size));
    } else if (static_cast<std::uint64_t>(attributes->st_size) != version->size) {
      ++resized;
    }
  }
  for (const PastName& name : TRY(past.list())) {
    if (history.find(name.number) == nullptr) ++unknown;
  }
  tell(found, std::move(missing), "contents are missing");
  // Who had a removed file open may have written on.
  if (resized != 0) {
    found.notes.push_back(
        fmt::format("{} contents have another size than when they were kept", resized));
  }
  if (unknown != 0) {
    found.notes.push_back(
        fmt::format("{} contents that no row tells of; the next mount adopts them", unknown));
  }
  found.sum = fmt::format("{} contents, {} bytes", contents, history.bytes());
  return found;
}

}  // namespace agentfs
