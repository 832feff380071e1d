// SPDX-License-Identifier: MIT
#include "kernel/keeper.h"

namespace agentfs {
namespace {

// The one object that says where the store stands: {"next_pid":…,"hash":…,"key":…,
// "last_version":…,"generations":…}; `key` is the public one of the journal, `generations` the
// record that the stored generations reflect.
constexpr std::string_view kCollection = "kernel";
constexpr std::string_view kKey = "state";

ProcessId next_pid(const json::Value& state) {
  return {static_cast<std::uint64_t>(state["next_pid"].number(1))};
}

}  // namespace

Result<Fold> Keeper::load() {
  Result<Fold> loaded = load_store();
  if (!loaded && loaded.error().code != EBADMSG) return loaded;
  if (!loaded) {
    problems_.push_back(fmt::format("filled again from the journal: {}", loaded.error().message));
    const json::Value state = load_state();
    TRY(store_.clear());
    loaded = Fold();
    loaded->finish_load(next_pid(state), {});
  }
  TRY(replay(*loaded));
  return loaded;
}

Result<Fold> Keeper::look() {
  Result<Fold> loaded = load_store();
  if (!loaded) {
    problems_.push_back(loaded.error().message);
    loaded = Fold();
    loaded->finish_load({}, {}, 0);
  }
  TRY(replay(*loaded));
  return loaded;
}

json::Value Keeper::load_state() {
  json::Value state;
  const Status read = store_.load(
      [&](std::string_view collection, std::string_view, std::string_view text) -> Status {
        if (collection == kCollection) state = TRY(json::parse(text));
        return ok();
      });
  return read ? state : json::Value();
}

Result<Fold> Keeper::load_store() {
  Fold fold;
  const Sequence reached = TRY(store_.reached());
  if (!reached) return fold;
  if (reached > journal_.head().sequence && !journal_.continue_after(reached)) {
    return fail(EBADMSG,
                "the store reflects record {}, and the journal ends at {}: records were lost or "
                "taken away (hash of the last: {})",
                reached.value, journal_.head().sequence.value, load_state()["hash"].text());
  }
  json::Value state;
  TRY(store_.load(
      [&](std::string_view collection, std::string_view key, std::string_view text) -> Status {
        if (collection != kCollection) return fold.load(collection, key, text);
        state = TRY(json::parse(text));
        return ok();
      }));
  TRY(check_hash(reached, std::string(state["hash"].text())));
  const std::string_view key = state["key"].text();
  if (!key.empty() && key != journal_.public_key()) {
    problems_.push_back(
        fmt::format("the journal was signed with the key {}, and is with {} now: "
                    "keys/journal.ed25519 was lost or replaced",
                    key, journal_.public_key()));
  }
  fold.finish_load(next_pid(state), reached,
                   static_cast<std::uint64_t>(state["last_version"].number()));
  fold.generations_were_stored({static_cast<std::uint64_t>(state["generations"].number())});
  return fold;
}

Status Keeper::check_hash(Sequence reached, const std::string& stored) {
  const auto hash = journal_.hash_at(reached);
  if (hash && *hash != stored) {
    return fail(EBADMSG, "the store is the fold of another journal (record {} has hash {} there)",
                reached.value, stored);
  }
  if (hash || hash.error().code != EBADMSG) return hash ? ok() : std::unexpected(hash.error());
  problems_.push_back(
      fmt::format("{}; the store, which reflects it, is taken at its word", hash.error().message));
  return ok();
}

Status Keeper::replay(Fold& fold) {
  for (const std::string& sentence : journal_.damage()) {
    problems_.push_back(fmt::format("journal: {}", sentence));
  }
  std::vector<std::string> damaged;
  const Sequence known = fold.applied();
  const auto apply = [&](const Record& record, std::string_view) {
    if (record.sequence <= known) {
      fold.replay_generations(record);
    } else {
      fold.apply(record);
    }
    return ok();
  };
  TRY(journal_.replay_readable(fold.generations_reached(), apply, damaged));
  if (damaged.empty()) return ok();
  problems_.push_back(
      fmt::format("{} records of the journal were left out when it was replayed; "
                  "the first one: {}",
                  damaged.size(), damaged.front()));
  return ok();
}

Status Keeper::write(const Batch& batch) {
  std::vector<ObjectChange> changes;
  changes.reserve(batch.objects.size() + 1);
  for (const StoredObject& object : batch.objects) {
    changes.push_back({.collection = object.collection, .key = object.key, .json = object.json()});
  }
  json::Value state;
  state.set("next_pid", batch.next_pid.value).set("hash", batch.head.hash);
  state.set("key", journal_.public_key()).set("generations", batch.generations.value);
  if (batch.last_version != 0) state.set("last_version", batch.last_version);
  changes.push_back({.collection = std::string(kCollection),
                     .key = std::string(kKey),
                     .json = json::dump(state)});
  return store_.apply(batch.head.sequence, changes);
}

}  // namespace agentfs
