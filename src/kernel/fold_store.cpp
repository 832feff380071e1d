// SPDX-License-Identifier: MIT
// The fold's objects on their way to the store and back.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "kernel/fold.h"
#include "kernel/fold_rows.h"
#include "kernel/process_json.h"

namespace agentfs {
namespace {

// "000000000007/000000000012" -> 7, 12; "site/000000000007" -> "site", 7.
std::pair<std::string_view, std::uint64_t> split_last(std::string_view key) {
  const auto slash = key.rfind('/');
  const std::string_view head = slash == std::string_view::npos ? "" : key.substr(0, slash);
  return {head, text::number<std::uint64_t>(key.substr(slash + 1)).value_or(0)};
}

ProcessId pid_in(std::string_view digits) {
  return {text::number<std::uint64_t>(digits).value_or(0)};
}

template <class Ref>
Ref numbered(const std::vector<Ref>& items, std::uint64_t number) {
  const auto found =
      std::ranges::lower_bound(items, number, {}, [](const Ref& r) { return r->number; });
  return found != items.end() && (*found)->number == number ? *found : nullptr;
}

// [sequence, author]; earlier versions kept the sequence alone.
PathEdit path_edit(const json::Value& value) {
  const auto number = [](const json::Value& one) {
    return static_cast<std::uint64_t>(one.number());
  };
  const json::Array* const pair = value.array();
  if (pair == nullptr || pair->size() != 2) return {{number(value)}, {}};
  return {{number(pair->front())}, {number(pair->back())}};
}

Generations::Id generation_id(std::string_view key) {
  Generations::Id id = 0;
  std::from_chars(key.data(), key.data() + key.size(), id, 16);
  return id;
}

template <class Ref>
void put(StoredObject& stored, Ref object) {
  if (object != nullptr) stored.object = std::move(object);
}

}  // namespace

std::optional<std::string> StoredObject::json() const {
  if (const auto* process = std::get_if<ProcessRef>(&object)) return json::dump(to_json(**process));
  if (const auto* message = std::get_if<MessageRef>(&object)) return json::dump(to_json(**message));
  if (const auto* call = std::get_if<CallRef>(&object)) return json::dump(to_json(**call));
  if (const auto* change = std::get_if<PathEdit>(&object)) {
    return fmt::format("[{},{}]", change->sequence.value, change->author.value);
  }
  if (const auto* sequence = std::get_if<Sequence>(&object)) return std::to_string(sequence->value);
  if (const auto* commits = std::get_if<CheckpointCommits>(&object)) {
    return json::dump(to_json(*commits));
  }
  if (const auto* version = std::get_if<FileVersionRef>(&object)) {
    return json::dump(to_json(**version));
  }
  if (const auto* quota = std::get_if<Quota>(&object)) {
    return fmt::format("[{},{}]", quota->bytes, quota->inodes);
  }
  if (const auto* ended = std::get_if<EndedTree>(&object)) {
    return fmt::format("[{},{},{}]", ended->record.value, ended->version, ended->refusal);
  }
  if (const auto* entry = std::get_if<Generations::Entry>(&object)) {
    return json::dump(entry->to_json());
  }
  if (const auto* refusal = std::get_if<RefusalRef>(&object)) {
    return json::dump(to_json(**refusal));
  }
  return std::nullopt;
}

StoredObject Fold::stored(const Key& place) const {
  const auto& [collection, key] = place;
  StoredObject result{.collection = std::string(collection), .key = key, .object = {}};
  if (collection == "process") {
    put(result, find(pid_in(key)));
  } else if (collection == "message" || collection == "call") {
    const auto [pid, number] = split_last(key);
    const ProcessRef process = find(pid_in(pid));
    if (process == nullptr) return result;
    if (collection == "message") {
      put(result, numbered(process->messages, number));
    } else {
      put(result, numbered(process->calls, number));
    }
  } else if (collection == "change") {
    const auto slash = key.find('/');
    const WorkspaceChanges* workspace = find_workspace(key.substr(0, slash));
    if (workspace == nullptr) return result;
    const auto found = workspace->changed.all().find(key.substr(slash + 1));
    if (found != workspace->changed.all().end()) result.object = found->second;
  } else if (collection == "version") {
    put(result, history_.find(text::number<std::uint64_t>(key).value_or(0)));
  } else if (collection == "quota") {
    const auto found = quotas_.find(key);
    if (found != quotas_.end()) result.object = found->second;
  } else if (collection == "ended") {
    const auto found = ended_trees_.find(key);
    if (found != ended_trees_.end()) result.object = found->second;
  } else if (collection == "conflict") {
    const auto found = refusals_.find(text::number<std::uint64_t>(key).value_or(0));
    if (found != refusals_.end()) result.object = found->second;
  } else if (collection == "checkpoints") {
    const WorkspaceChanges* workspace = find_workspace(key);
    if (workspace != nullptr && !workspace->checkpoints.is_empty()) {
      result.object = workspace->checkpoints;
    }
  } else if (collection == "turn") {
    const auto [name, pid] = split_last(key);
    const WorkspaceChanges* workspace = find_workspace(std::string(name));
    if (workspace == nullptr) return result;
    const auto found = workspace->committed.find({pid});
    if (found != workspace->committed.end()) result.object = found->second;
  }
  return result;
}

std::vector<StoredObject> Fold::take_dirty() {
  std::vector<StoredObject> objects;
  objects.reserve(dirty_.size());
  for (const Key& key : dirty_) objects.push_back(stored(key));
  dirty_.clear();
  return objects;
}

bool Fold::generations_are_due(bool at_end) const {
  constexpr std::uint64_t kRecords = 20'000;  // that a start replays at the most
  if (!generations_.has_touched()) return false;
  return at_end || applied_.value - generations_reached_.value >= kRecords;
}

void Fold::take_generations(std::vector<StoredObject>& objects) {
  for (const Generations::Id id : generations_.take_touched()) {
    StoredObject& one = objects.emplace_back();
    one.collection = "generation";
    one.key = fmt::format("{:08x}", id);
    if (const Generations::Entry* const entry = generations_.find(id)) one.object = *entry;
  }
}

void Fold::replay_generations(const Record& record) {
  if (record.kind.starts_with(kind::kTreePrefix)) fold::note_generations(*this, record);
}

void Fold::put_back(std::span<const StoredObject> objects) {
  for (const StoredObject& object : objects) {
    if (object.collection == "generation") generations_.touch(generation_id(object.key));
    for (const std::string_view collection :
         {"process", "message", "call", "change", "turn", "checkpoints", "version", "quota",
          "conflict", "ended"}) {
      if (object.collection == collection) dirty_.emplace(collection, object.key);
    }
  }
}

Status Fold::load(std::string_view collection, std::string_view key, std::string_view text) {
  const json::Value value = TRY(json::parse(text));
  const auto [head, number] = split_last(key);
  if (collection == "process") {
    insert(process_from_json(value));
  } else if (collection == "message") {
    loaded_messages_[pid_in(head)].push_back(
        std::make_shared<const Message>(message_from_json(value)));
  } else if (collection == "call") {
    loaded_calls_[pid_in(head)].push_back(std::make_shared<const Call>(call_from_json(value)));
  } else if (collection == "change") {
    const auto slash = key.find('/');
    workspaces_[std::string(key.substr(0, slash))].changed.note(std::string(key.substr(slash + 1)),
                                                                path_edit(value));
  } else if (collection == "version") {
    history_.add(std::make_shared<const FileVersion>(version_from_json(value)));
  } else if (collection == "quota") {
    const json::Array* pair = value.array();
    if (pair != nullptr && pair->size() == 2) {
      quotas_[std::string(key)] = {static_cast<std::uint64_t>(pair->front().number()),
                                   static_cast<std::uint64_t>(pair->back().number())};
    }
  } else if (collection == "ended") {
    const json::Array* const last = value.array();
    if (last == nullptr || last->size() != 3) return ok();
    const auto number = [&](std::size_t i) {
      return static_cast<std::uint64_t>((*last)[i].number());
    };
    ended_trees_[std::string(key)] = {{number(0)}, number(1), number(2)};
  } else if (collection == "generation") {
    generations_.load(generation_id(key), value);
  } else if (collection == "conflict") {
    const auto refusal = std::make_shared<const Refusal>(refusal_from_json(value));
    refusals_[refusal->number] = refusal;
  } else if (collection == "checkpoints") {
    workspaces_[std::string(key)].checkpoints = checkpoint_commits_from_json(value);
  } else if (collection == "turn") {
    workspaces_[std::string(head)].committed[{number}] = {
        static_cast<std::uint64_t>(value.number())};
  }
  return ok();
}

void Fold::finish_load(ProcessId next_pid, Sequence applied, std::uint64_t last_version) {
  history_.set_last(last_version);
  for (auto& [pid, process] : processes_) {
    auto complete = std::make_shared<Process>(*process);
    complete->messages = std::move(loaded_messages_[pid]);
    complete->calls = std::move(loaded_calls_[pid]);
    process = std::move(complete);
  }
  loaded_messages_.clear();
  loaded_calls_.clear();
  generations_.finish_load();
  next_pid_ = std::max(next_pid_, next_pid);
  applied_ = applied;
  dirty_.clear();
}

}  // namespace agentfs
