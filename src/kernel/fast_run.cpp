// SPDX-License-Identifier: MIT
// A command on an overlay, as it is kept.
#include "base/json.h"
#include "base/text.h"
#include "kernel/fast_path.h"

namespace agentfs {
namespace {

constexpr std::string_view kPhases[] = {"running", "folding", "folded", "kept"};

// Paths are any bytes.
json::Value to_value(const FoldChange& change) {
  json::Value value;
  value.set("op", change.operation).set("path_hex", text::hex(change.path));
  if (!change.other.empty()) value.set("other_hex", text::hex(change.other));
  if (change.is_directory) value.set("directory", true);
  if (change.is_exchange) value.set("exchange", true);
  if (change.is_inner) value.set("inner", true);
  if (change.is_silent) value.set("silent", true);
  if (change.bytes != 0) value.set("bytes", change.bytes);
  return value;
}

FoldChange change_from(const json::Value& value) {
  return {.operation = std::string(value["op"].text()),
          .path = text::unhex(value["path_hex"].text()).value_or(std::string()),
          .other = text::unhex(value["other_hex"].text()).value_or(std::string()),
          .is_directory = value["directory"].truth(),
          .is_exchange = value["exchange"].truth(),
          .is_inner = value["inner"].truth(),
          .is_silent = value["silent"].truth(),
          .bytes = static_cast<std::uint64_t>(value["bytes"].number())};
}

}  // namespace

std::string FastRun::text() const {
  json::Value value;
  value.set("number", number).set("version", version).set("lower", lower);
  json::set_bytes(value, "root", root);
  value.set("began", began);
  value.set("command_hex", text::hex(command)).set("drop_failed", drop_failed);
  value.set("dry_run", dry_run).set("phase", kPhases[static_cast<std::size_t>(phase)]);
  by.write(value);
  value.set("record", text::hex(record));
  value.set("keeps", keeps).set("told", is_told).set("conflicts", conflicts);
  json::Array all;
  for (const FoldChange& change : changes) all.push_back(to_value(change));
  value.set("changes", std::move(all));
  return json::dump(value);
}

Result<FastRun> FastRun::parse(std::string_view text) {
  const json::Value value = TRY(json::parse(text));
  const auto bytes = [&](const char* name) {
    return text::unhex(value[name].text()).value_or(std::string());
  };
  FastRun run;
  run.number = static_cast<std::uint64_t>(value["number"].number());
  run.version = static_cast<std::uint64_t>(value["version"].number());
  run.lower = static_cast<std::uint64_t>(value["lower"].number());
  run.began = value["began"].number();
  run.root = json::bytes_of(value, "root");
  run.command = bytes("command_hex");
  run.drop_failed = value["drop_failed"].truth();
  run.dry_run = value["dry_run"].truth();
  run.by = StoredCaller::read(value);
  run.record = bytes("record");
  run.keeps = value["keeps"].truth();
  run.is_told = value["told"].truth();
  run.conflicts = static_cast<std::size_t>(value["conflicts"].number());
  if (const json::Array* changes = value["changes"].array()) {
    for (const json::Value& change : *changes) run.changes.push_back(change_from(change));
  }
  for (std::size_t phase = 0; phase < std::size(kPhases); ++phase) {
    if (value["phase"].text() != kPhases[phase]) continue;
    run.phase = static_cast<Phase>(phase);
    if (run.number != 0 && !run.root.empty()) return run;
  }
  return fail(EBADMSG, "no order of a command on an overlay");
}

}  // namespace agentfs
