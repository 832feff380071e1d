// SPDX-License-Identifier: MIT
#include "kernel/drop_order.h"

#include "base/json.h"

namespace agentfs {
namespace {

json::Array array_of(const std::vector<std::uint64_t>& numbers) {
  json::Array all;
  for (const std::uint64_t number : numbers) all.emplace_back(number);
  return all;
}

std::vector<std::uint64_t> numbers_of(const json::Value& value) {
  std::vector<std::uint64_t> numbers;
  const json::Array* const all = value.array();
  if (all == nullptr) return numbers;
  for (const json::Value& one : *all) {
    numbers.push_back(static_cast<std::uint64_t>(one.number()));
  }
  return numbers;
}

}  // namespace

std::string DropOrder::text() const {
  json::Value value;
  value.set("gone", array_of(gone)).set("for_others", array_of(for_others)).set("reason", reason);
  by.write(value);
  return json::dump(value);
}

Result<DropOrder> DropOrder::parse(std::string_view text) {
  const json::Value value = TRY(json::parse(text));
  DropOrder order{.gone = numbers_of(value["gone"]), .for_others = numbers_of(value["for_others"])};
  order.reason = value["reason"].text();
  order.by = StoredCaller::read(value);
  if (order.gone.empty() || order.reason.empty()) {
    return fail(EBADMSG, "no order to forget versions");
  }
  return order;
}

}  // namespace agentfs
