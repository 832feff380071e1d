// SPDX-License-Identifier: MIT
#include "kernel/syscalls/row.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/text.h"

namespace agentfs {
namespace {

constexpr std::array<std::string_view, 6> kEffects = {"none",  "process", "files",
                                                      "shell", "device",  "configuration"};

std::unexpected<Error> mismatch(std::string_view name, const json::Value& value,
                                std::string_view wants) {
  return fail(EINVAL, "{}: not {} ({}); {} would do", name, wants, text::shown(json::dump(value)),
              wants);
}

}  // namespace

std::string_view name(Effect effect) {
  return kEffects[static_cast<std::size_t>(std::to_underlying(effect))];
}

namespace fields {

Status from_json(const json::Value& value, std::string_view name, std::string& out) {
  const std::string* s = value.string();
  if (s == nullptr) return mismatch(name, value, "a text");
  out = *s;
  return ok();
}

Status from_json(const json::Value& value, std::string_view name, bool& out) {
  const bool* b = value.boolean();
  if (b == nullptr) return mismatch(name, value, "true or false");
  out = *b;
  return ok();
}

Status from_json(const json::Value& value, std::string_view name, std::int64_t& out) {
  const std::int64_t* i = value.integer();
  // Models write 3.0 for 3.
  const double d = value.real(0.5);
  if (i == nullptr && (std::trunc(d) != d || std::fabs(d) > 9e15)) {
    return mismatch(name, value, "a whole number");
  }
  out = i != nullptr ? *i : static_cast<std::int64_t>(d);
  return ok();
}

Status from_json(const json::Value& value, std::string_view name, double& out) {
  const double d = value.real(NAN);
  if (!std::isfinite(d)) return mismatch(name, value, "a number");
  out = d;
  return ok();
}

Status from_json(const json::Value& value, std::string_view name, ProcessId& out) {
  const std::int64_t* i = value.integer();
  if (i == nullptr || *i <= 0) return mismatch(name, value, "a process id");
  out = {static_cast<std::uint64_t>(*i)};
  return ok();
}

Status check_members(const json::Value& object, std::string_view syscall,
                     const std::vector<std::string>& names) {
  if (object.is_null()) return ok();
  const json::Object* members = object.object();
  if (members == nullptr) {
    return fail(EINVAL, "{}: its arguments are no object ({}); {{\"{}\": …}} would do", syscall,
                text::shown(json::dump(object)), names.empty() ? "name" : names.front());
  }
  for (const auto& [name, value] : *members) {
    if (std::ranges::find(names, name) != names.end()) continue;
    return fail(EINVAL, "{}: no argument {}{}; it takes {}", syscall, text::shown(name),
                text::did_you_mean(name, names), names.empty() ? "none" : text::join(names, ", "));
  }
  return ok();
}

}  // namespace fields

json::Value json_schema(const std::vector<FieldInfo>& described) {
  json::Value properties = json::Object{};
  json::Array required;
  for (const FieldInfo& field : described) {
    json::Value property;
    property.set("type", field.type).set("description", field.doc);
    properties.set(field.name, std::move(property));
    if (field.required) required.emplace_back(field.name);
  }
  json::Value schema;
  schema.set("type", "object").set("properties", std::move(properties));
  schema.set("required", std::move(required)).set("additionalProperties", false);
  return schema;
}

}  // namespace agentfs
