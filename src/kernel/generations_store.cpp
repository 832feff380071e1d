// SPDX-License-Identifier: MIT
// Entries of the generations as the store keeps them, one by one.
#include "kernel/generations.h"

namespace agentfs {

json::Value Generations::Entry::to_json() const {
  json::Value value;
  value.set("parent", parent);
  json::set_bytes(value, "name", name);
  value.set("gen", last.number.value).set("other", other.value).set("time", last.time);
  if (last.named != 0) value.set("named", last.named);
  if (last.writer != nullptr) {
    value.set("pid", last.writer->process.value).set("writer", last.writer->lineage);
  }
  return value;
}

const Generations::Entry* Generations::find(Id id) const {
  return id < slots_.size() && slots_[id].used ? &slots_[id].entry : nullptr;
}

void Generations::load(Id id, const json::Value& value) {
  const auto number = [&](std::string_view name) {
    return static_cast<std::uint64_t>(value[name].number());
  };
  if (id >= slots_.size()) slots_.resize(std::size_t{id} + 1);
  Slot& slot = slots_[id];
  slot.used = true;
  slot.entry.parent = static_cast<Id>(number("parent"));
  slot.entry.name = json::bytes_of(value, "name");
  slot.entry.last = {
      .number = {number("gen")}, .time = value["time"].number(), .named = value["named"].number()};
  slot.entry.other = {number("other")};
  if (const std::string_view lineage = value["writer"].text(); !lineage.empty()) {
    slot.entry.last.writer = writer({number("pid")}, std::string(lineage));
  }
}

// The entries have come in any order. One whose directory is missing leads nowhere.
void Generations::finish_load() {
  unused_.clear();
  used_ = 0;
  for (Slot& slot : slots_) slot.children = 0;
  for (bool again = true; again;) {
    again = false;
    for (Id id = 1; id < slots_.size(); ++id) {
      const Id parent = slots_[id].entry.parent;
      if (!slots_[id].used || (parent < slots_.size() && slots_[parent].used)) continue;
      slots_[id] = {};
      again = true;
    }
  }
  for (Id id = 1; id < slots_.size(); ++id) {
    if (!slots_[id].used) {
      unused_.push_back(id);
      continue;
    }
    ++used_;
    ++slots_[slots_[id].entry.parent].children;
  }
  std::size_t size = 64;
  while (size < used_) size *= 2;
  buckets_.assign(size / 2, 0);
  grow();
  touched_.clear();
}

}  // namespace agentfs
