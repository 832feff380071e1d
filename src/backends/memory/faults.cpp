// SPDX-License-Identifier: MIT
#include "backends/memory/faults.h"

#include <algorithm>

#include "backends/memory/memory.h"
#include "base/text.h"

namespace agentfs {

FaultLogStore::FaultLogStore(std::shared_ptr<LogStore> inner, std::shared_ptr<LogFaults> faults)
    : inner_(std::move(inner)), faults_(std::move(faults)) {
  note_synced(inner_->segments());
}

Status FaultLogStore::append(std::string_view lines) {
  TRY(faults_->enter(LogCall::append));
  return inner_->append(lines);
}

Status FaultLogStore::sync() {
  TRY(faults_->enter(LogCall::sync));
  const auto covered = inner_->segments();
  TRY(inner_->sync());
  note_synced(covered);
  return ok();
}

Status FaultLogStore::roll(std::uint64_t first_sequence) {
  TRY(faults_->enter(LogCall::roll));
  const auto covered = inner_->segments();
  TRY(inner_->roll(first_sequence));
  note_synced(covered);  // a roll syncs what comes before it, but not the new segment
  return ok();
}

Result<std::string> FaultLogStore::read(std::string_view segment, std::uint64_t offset,
                                        std::uint64_t limit) const {
  TRY(faults_->enter(LogCall::read));
  return inner_->read(segment, offset, limit);
}

void FaultLogStore::note_synced(const std::vector<SegmentInfo>& segments) {
  const Lock lock(mutex_);
  for (const SegmentInfo& segment : segments) {
    std::uint64_t& size = synced_[segment.name];
    size = std::max(size, segment.size);
  }
}

Result<std::unique_ptr<LogStore>> FaultLogStore::after_power_loss(std::uint64_t kept) const {
  Sizes synced;
  {
    const Lock lock(mutex_);
    synced = synced_;
  }
  auto left = make_memory_log();
  const auto segments = inner_->segments();
  for (const SegmentInfo& segment : segments) {
    const bool last = segment.name == segments.back().name;
    const auto found = synced.find(segment.name);
    if (found == synced.end() && !(last && kept > 0)) break;
    const std::uint64_t safe = found == synced.end() ? 0 : found->second;
    const std::string_view name = segment.name;
    TRY(left->roll(text::number<std::uint64_t>(name.substr(0, name.find('.'))).value_or(1)));
    std::string bytes = TRY(inner_->read(segment.name, 0, 0));
    bytes.resize(std::min<std::uint64_t>(bytes.size(), safe + (last ? kept : 0)));
    bytes.resize(bytes.rfind('\n') + 1);
    TRY(left->append(bytes));
  }
  return left;
}

Result<Sequence> FaultRecordStore::reached() {
  TRY(faults_->enter(RecordCall::reached));
  return inner_->reached();
}

Status FaultRecordStore::apply(Sequence reached, std::span<const ObjectChange> changes) {
  TRY(faults_->enter(RecordCall::apply));
  return inner_->apply(reached, changes);
}

Status FaultRecordStore::load(const Visitor& visitor) {
  TRY(faults_->enter(RecordCall::load));
  return inner_->load(visitor);
}

Status FaultRecordStore::check() {
  TRY(faults_->enter(RecordCall::check));
  return inner_->check();
}

Status FaultRecordStore::clear() {
  TRY(faults_->enter(RecordCall::clear));
  return inner_->clear();
}

}  // namespace agentfs
