// SPDX-License-Identifier: MIT
#include "backends/imports/ready_names.h"

#include <unordered_set>

#include "base/mutex.h"
#include "base/temporary_name.h"

namespace agentfs::imports {
namespace {

Mutex<Rank::queue> mutex;
std::unordered_set<std::string> names GUARDED_BY(mutex);

}  // namespace

ReadyName::ReadyName() : name_(temporary_name()) {
  const Lock lock(mutex);
  names.insert(name_);
}

ReadyName::~ReadyName() {
  const Lock lock(mutex);
  names.erase(name_);
}

bool ReadyName::is_one(const std::string& name) {
  const Lock lock(mutex);
  return names.contains(name);
}

}  // namespace agentfs::imports
