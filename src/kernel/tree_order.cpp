// SPDX-License-Identifier: MIT
#include "kernel/tree_order.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "base/log.h"
#include "kernel/forks.h"
#include "kernel/imports.h"
#include "kernel/kernel.h"
#include "kernel/merge_bases.h"
#include "kernel/paths.h"
#include "kernel/stored_caller.h"
#include "kernel/tree_change.h"

namespace agentfs {
namespace {

std::string directory_of(const Kernel& kernel) { return kernel.parts().state + "/tree-orders"; }

// What a start finds of one.
struct LeftOrder {
  TreeChange row{};
  Sequence head{};       // the last record before it
  std::string mark{};    // the checkpoint that it makes or discards; "" of a fork
  std::uint32_t tree{};  // the number of the fork that it discards
};

std::string mark_of(const std::string& operation, const json::Value& details) {
  return json::bytes_of(details, operation == "rollback" ? "undo" : "name");
}

LeftOrder order_of(const json::Value& value) {
  LeftOrder order;
  order.row = {.operation = std::string(value["operation"].text()),
               .path = json::bytes_of(value, "path"),
               .other = json::bytes_of(value, "other")};
  const json::Value& details = value["details"];
  if (const json::Object* const members = details.object()) order.row.details = *members;
  order.head = {static_cast<std::uint64_t>(value["head"].number())};
  order.mark = mark_of(order.row.operation, details);
  order.tree = static_cast<std::uint32_t>(details["tree"].number());
  return order;
}

Result<bool> was_told(const Kernel& kernel, const LeftOrder& order) {
  const std::string kind = "tree." + order.row.operation;
  const std::size_t rows = TRY(kernel.journal().count(order.head, [&](const Record& record) {
    return record.kind == kind && json::bytes_of(record.data, "path") == order.row.path &&
           mark_of(order.row.operation, record.data) == order.mark;
  }));
  return rows > 0;
}

// Whether it was done; the row is whole then.
Result<bool> was_done(const Kernel& kernel, LeftOrder& order) {
  const Forks forks = kernel.forks();
  TreeChange& row = order.row;
  (void)TRY(forks.forest_of(row.path));  // whose forest cannot be had: nobody knows
  if (row.operation == "fork" || row.operation == "import") {
    const auto base = forks.base_of(row.path);
    if (base && row.operation == "fork") row.details.emplace_back("state", shown(*base));
    return base.has_value();
  }
  const auto made = forks.find(row.path, order.mark);
  if (!made) return false;
  if (row.operation == "checkpoint") {
    row.details.emplace_back("state", shown(made->id));
    return true;
  }
  if (!made->was_replaced) return false;
  row.details.emplace_back("tops", forks.tops_of(row.path, forks.names_of(row.path, made->id)));
  return true;
}

Status drop_checkpoint(const Kernel& kernel, const LeftOrder& order) {
  const Forks forks = kernel.forks();
  const auto found = forks.find(order.row.path, order.mark);
  return found ? forks.drop_checkpoint(order.row.path, *found) : ok();
}

Status discard(const Kernel& kernel, const LeftOrder& order) {
  if (!order.mark.empty()) return drop_checkpoint(kernel, order);
  Forest& forest = *TRY(kernel.forks().forest_of(order.row.path));
  const auto info = forest.info(paths::name_of(order.row.path));
  return info && info->number == order.tree ? forest.drop(info->name) : ok();
}

Status end_order(Kernel& kernel, std::string_view text) {
  const json::Value value = TRY(json::parse(text));
  LeftOrder order = order_of(value);
  const bool is_told = TRY(was_told(kernel, order));
  if (order.row.operation == "discard") return is_told ? discard(kernel, order) : ok();
  if (is_told) return ok();
  if (TRY(was_done(kernel, order))) {
    return kernel.record_change(StoredCaller::read(value).caller(kernel), order.row);
  }
  // Killed before the roots changed places: what is there is what it would have undone.
  return order.row.operation == "rollback" ? drop_checkpoint(kernel, order) : ok();
}

// Which of its daemon's it is.
std::uint64_t number_of(const Result<std::string>& text) {
  const auto value = text ? json::parse(*text) : std::unexpected(text.error());
  return value ? static_cast<std::uint64_t>((*value)["number"].number()) : 0;
}

}  // namespace

StoredOrder begin_tree_order(const Kernel& kernel, const Caller& caller, const TreeChange& row) {
  json::Value value;
  static std::atomic<std::uint64_t> orders = 0;
  value.set("operation", row.operation).set("head", kernel.journal().head().sequence.value);
  value.set("number", ++orders);
  json::set_bytes(value, "path", row.path);
  json::set_bytes(value, "other", row.other);
  json::Value details;
  put_details(details, row);
  value.set("details", std::move(details));
  StoredCaller::of(caller).write(value);
  auto order = StoredOrder::note(directory_of(kernel), json::dump(value));
  if (order) return std::move(*order);
  log::warning("{}: a {} that a kill cuts short would not be told: {}", row.path, row.operation,
               order.error().message);
  return {};
}

void end_tree_orders(Kernel& kernel) {
  std::vector<Result<std::string>> orders;
  each_order(directory_of(kernel), [&](const auto& text) { orders.push_back(text); });
  // As they were given: of one tree there may be several.
  std::ranges::sort(orders, {}, number_of);
  for (const Result<std::string>& text : orders) {
    const Status ended = text ? end_order(kernel, *text) : std::unexpected(text.error());
    if (!ended) log::warning("what was done with a tree is not told: {}", ended.error().message);
  }
  end_orders(directory_of(kernel), [](const auto&) {});
}

}  // namespace agentfs
