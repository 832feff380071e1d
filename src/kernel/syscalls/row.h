// SPDX-License-Identifier: MIT
// A syscall is a row and an argument struct whose described fields serve JSON, text, the journal
// and the tool schema that models see.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/ids.h"
#include "base/json.h"

namespace agentfs {

enum class Effect { none, process, files, shell, device, configuration };
enum class Right { none, read, write, exec, spawn, control };  // what capabilities will grant
enum class CallKind { query, command };                        // a query changes nothing

struct SyscallRow {
  std::string_view name{};  // "proc.nice"
  std::string_view doc{};   // a sentence
  Effect effect = Effect::none;
  Right right = Right::none;
  CallKind kind = CallKind::command;
  bool blocks = false;  // answers through a Completion
};

std::string_view name(Effect effect);

// One member of an argument struct.
template <class Struct, class Type>
struct Field {
  std::string_view name;
  Type Struct::* member;
  std::string_view doc;
};

template <class Struct, class Type>
constexpr Field<Struct, Type> field(std::string_view name, Type Struct::* member,
                                    std::string_view doc) {
  return {name, member, doc};
}

// What may be the type of a field: string, bool, integers, double, ProcessId, and optional of
// these. EINVAL names the field, the value seen and what would have worked.
namespace fields {
Status from_json(const json::Value& value, std::string_view name, std::string& out);
Status from_json(const json::Value& value, std::string_view name, bool& out);
Status from_json(const json::Value& value, std::string_view name, std::int64_t& out);
Status from_json(const json::Value& value, std::string_view name, double& out);
Status from_json(const json::Value& value, std::string_view name, ProcessId& out);
template <class T>
Status from_json(const json::Value& value, std::string_view name, std::optional<T>& out) {
  if (value.is_null()) return ok();
  return from_json(value, name, out.emplace());
}
inline json::Value to_json(const std::string& v) { return v; }
inline json::Value to_json(bool v) { return v; }
inline json::Value to_json(std::int64_t v) { return v; }
inline json::Value to_json(double v) { return v; }
inline json::Value to_json(ProcessId v) { return v.value; }
template <class T>
json::Value to_json(const std::optional<T>& v) {
  return v ? to_json(*v) : json::Value();
}
inline std::string_view type_name(const std::string*) { return "string"; }
inline std::string_view type_name(const bool*) { return "boolean"; }
inline std::string_view type_name(const std::int64_t*) { return "integer"; }
inline std::string_view type_name(const double*) { return "number"; }
inline std::string_view type_name(const ProcessId*) { return "integer"; }
template <class T>
std::string_view type_name(const std::optional<T>*) {
  return type_name(static_cast<const T*>(nullptr));
}
template <class T>
constexpr bool is_required = true;
template <class T>
constexpr bool is_required<std::optional<T>> = false;
// EINVAL for members that no field has, naming them and the fields there are.
Status check_members(const json::Value& object, std::string_view syscall,
                     const std::vector<std::string>& names);
}  // namespace fields

struct FieldInfo {
  std::string_view name;
  std::string_view type;
  std::string_view doc;
  bool required = true;
};

template <class Args>
std::vector<FieldInfo> describe_fields() {
  std::vector<FieldInfo> all;
  const auto describe = [&]<class Struct, class Type>(const Field<Struct, Type>& f) {
    all.push_back({f.name, fields::type_name(static_cast<const Type*>(nullptr)), f.doc,
                   fields::is_required<Type>});
  };
  std::apply([&](const auto&... f) { (describe(f), ...); }, Args::fields);
  return all;
}

// Arguments from a JSON object: a required field that is absent, a wrong type and an unknown
// member are EINVAL.
template <class Args>
Result<Args> decode(const json::Value& object) {
  Args args;
  std::vector<std::string> names;
  Status status = ok();
  std::apply(
      [&](const auto&... f) {
        (names.emplace_back(f.name), ...);
        const auto take = [&](const auto& one) {
          if (!status) return;
          const json::Value& value = object[one.name];
          using Type = std::decay_t<decltype(args.*one.member)>;
          if (value.is_null() && fields::is_required<Type>) {
            status = fail(EINVAL, "{}: {} is missing: {}", Args::row.name, one.name, one.doc);
          } else {
            status = fields::from_json(value, one.name, args.*one.member);
          }
        };
        (take(f), ...);
      },
      Args::fields);
  TRY(status);
  TRY(fields::check_members(object, Args::row.name, names));
  return args;
}

template <class Args>
json::Value encode(const Args& args) {
  json::Value object = json::Object{};
  std::apply(
      [&](const auto&... f) {
        const auto put = [&](const auto& one) {
          json::Value value = fields::to_json(args.*one.member);
          if (!value.is_null()) object.set(one.name, std::move(value));
        };
        (put(f), ...);
      },
      Args::fields);
  return object;
}

// {"type":"object","properties":{…},"required":[…]}: the parameters of a tool.
json::Value json_schema(const std::vector<FieldInfo>& described);

}  // namespace agentfs
