// SPDX-License-Identifier: MIT
#include "kernel/keeper.h"

#include "base/log.h"

namespace agentfs {
namespace {

// The one object that says where the store stands: {"next_pid":…,"hash":…}.
constexpr std::string_view kCollection = "kernel";
constexpr std::string_view kKey = "state";

}  // namespace

Result<Fold> Keeper::load() {
  Result<Fold> loaded = load_store();
  if (!loaded && loaded.error().code != EBADMSG) return loaded;
  if (!loaded) {
    log::warning("store: filled again from the journal: {}", loaded.error().message);
    TRY(store_.clear());
    loaded = Fold();
  }
  TRY(replay(*loaded));
  return loaded;
}

Result<Fold> Keeper::load_store() {
  Fold fold;
  const Sequence reached = TRY(store_.reached());
  if (!reached) return fold;
  if (reached > journal_.head().sequence) {
    return fail(EBADMSG, "store: reflects record {}, and the journal ends at {}", reached.value,
                journal_.head().sequence.value);
  }
  json::Value state;
  TRY(store_.load(
      [&](std::string_view collection, std::string_view key, std::string_view text) -> Status {
        if (collection != kCollection) return fold.load(collection, key, text);
        state = TRY(json::parse(text));
        return ok();
      }));
  const std::string hash = TRY(journal_.hash_at(reached));
  if (state["hash"].text() != hash) {
    return fail(EBADMSG, "store: is the fold of another journal (record {} has hash {} there)",
                reached.value, state["hash"].text());
  }
  fold.finish_load({static_cast<std::uint64_t>(state["next_pid"].number(1))}, reached);
  return fold;
}

Status Keeper::replay(Fold& fold) {
  return journal_.replay(fold.applied(), [&](const Record& record) {
    fold.apply(record);
    return ok();
  });
}

Status Keeper::write(const Batch& batch) {
  std::vector<ObjectChange> changes;
  changes.reserve(batch.objects.size() + 1);
  for (const StoredObject& object : batch.objects) {
    changes.push_back({.collection = object.collection, .key = object.key, .json = object.json()});
  }
  json::Value state;
  state.set("next_pid", batch.next_pid.value).set("hash", batch.head.hash);
  changes.push_back({.collection = std::string(kCollection),
                     .key = std::string(kKey),
                     .json = json::dump(state)});
  return store_.apply(batch.head.sequence, changes);
}

}  // namespace agentfs
