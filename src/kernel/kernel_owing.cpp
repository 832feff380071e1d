// SPDX-License-Identifier: MIT
// Rows that the journal refused of what cannot be undone.
#include <algorithm>

#include "kernel/kernel_state.h"
#include "kernel/paths.h"

namespace agentfs {

void Kernel::State::owe(Owed row) {
  {
    const Lock lock(commit_mutex);
    owed.push_back(std::move(row));
    if (owed.size() > 1) return;
  }
  pay_later();
}

// The oldest first.
Status Kernel::State::pay(std::vector<Committed>& told) {
  while (!owed.empty()) {
    const Owed& oldest = owed.front();
    auto committed = append(oldest.author, oldest.kind, oldest.data);
    if (!committed) {
      return fail(committed.error().code,
                  "{}: that it was rolled back is to be told before anything else of it, and the "
                  "journal does not take that yet ({}); when it does, the same again would do",
                  json::bytes_of(oldest.data, "path"), committed.error().message);
    }
    told.push_back(*std::move(committed));
    owed.erase(owed.begin());
  }
  return ok();
}

// Rows of what is in a tree need not wait: what makes room would be refused, too.
bool Kernel::State::owes_tree(std::string_view kind, const json::Value& data) const {
  if (owed.empty() || !kind.starts_with(kind::kTreePrefix)) return false;
  const std::string path = json::bytes_of(data, "path");
  const std::string other = json::bytes_of(data, "other");
  return std::ranges::any_of(owed, [&](const Owed& one) {
    const std::string root = json::bytes_of(one.data, "path");
    return root == path || root == other;
  });
}

void Kernel::State::pay_later() {
  constexpr std::chrono::seconds kInterval(5);
  after(kInterval, [](State& timer) {
    timer.post([](State& state) {
      std::vector<Committed> told;
      Status paid = ok();
      {
        const Lock lock(state.commit_mutex);
        paid = state.pay(told);
      }
      for (const auto& [record, subject] : told) state.after_commit(record, subject);
      if (!paid) state.pay_later();
    });
  });
}

}  // namespace agentfs
