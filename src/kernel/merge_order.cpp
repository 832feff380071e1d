// SPDX-License-Identifier: MIT
#include "kernel/merge_order.h"

#include <utility>

#include "base/text.h"
#include "kernel/paths.h"

namespace agentfs {

Result<TreeSide> live_side(Forest& forest, const std::string& root) {
  return TreeSide{&forest, TRY(forest.tree(paths::name_of(root))).node};
}

std::string Merges::Order::text() const {
  json::Value value;
  json::set_bytes(value, "root", root);
  json::set_bytes(value, "from", from);
  value.set("done", done).set("record", text::hex(record));
  value.set("state", value_of(state)).set("actions", actions).set("head", head.value);
  if (into != 0) value.set("into", into);
  if (newest) value.set("newest", *newest);
  if (!shown.empty()) value.set("shown", text::hex(shown));
  by.write(value);
  return json::dump(value);
}

Result<Merges::Order> Merges::Order::parse(std::string_view text) {
  const json::Value value = TRY(json::parse(text));
  const auto bytes_in = [&](std::string_view name) {
    return text::unhex(value[name].text()).value_or(std::string());
  };
  Order order{.root = json::bytes_of(value, "root"),
              .from = json::bytes_of(value, "from"),
              .done = value["done"].truth(),
              .record = bytes_in("record")};
  order.into = static_cast<std::uint32_t>(value["into"].number());
  order.state = snapshot_of(value["state"]);
  if (const json::Value& newest = value["newest"]; !newest.is_null()) {
    order.newest = static_cast<std::uint64_t>(newest.number());
  }
  order.head.value = static_cast<std::uint64_t>(value["head"].number());
  order.is_left = true;
  order.shown = bytes_in("shown");
  order.by = StoredCaller::read(value);
  if (order.root.empty() || order.record.empty()) return fail(EBADMSG, "no order of a merge");
  if (const json::Array* actions = value["actions"].array()) order.actions = *actions;
  return order;
}

}  // namespace agentfs
