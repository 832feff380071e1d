// SPDX-License-Identifier: MIT
#include "kernel/document.h"

#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <sstream>

#include "base/text.h"
#include "kernel/limits.h"
#include "kernel/paths.h"
#include "kernel/setting_rows.h"

namespace agentfs {
namespace {

// Names under which people write a key itself, which must not stand in a file that is shown.
constexpr std::array<std::string_view, 6> kSecrets = {"key",    "api_key", "apikey",
                                                      "secret", "token",   "authorization"};

json::Value converted(const toml::node& node) {
  if (const auto* s = node.as_string()) return s->get();
  if (const auto* i = node.as_integer()) return i->get();
  if (const auto* d = node.as_floating_point()) return d->get();
  if (const auto* b = node.as_boolean()) return b->get();
  json::Array list;
  if (const auto* items = node.as_array()) {
    for (const toml::node& item : *items) list.push_back(converted(item));
    return list;
  }
  return {};
}

bool has_type(const json::Value& value, std::string_view type) {
  if (type == "string") return value.string() != nullptr;
  if (type == "integer") return value.integer() != nullptr;
  if (type == "boolean") return value.boolean() != nullptr;
  if (type == "number") return value.integer() != nullptr || std::isfinite(value.real(NAN));
  const json::Array* items = value.array();
  return items != nullptr && std::ranges::all_of(*items, [](const json::Value& item) {
           return item.string() != nullptr;
         });
}

// JSON has no words for what is no number or has no end.
std::string shown(const json::Value& value) {
  const double number = value.real(0);
  return std::isfinite(number) ? text::shown(json::dump(value)) : fmt::format("{}", number);
}

std::string_view type_words(std::string_view type) {
  if (type == "string") return "a text in quotes";
  if (type == "integer") return "a whole number";
  if (type == "boolean") return "true or false";
  return type == "number" ? "a number" : "a list of texts";
}

const SettingRow* find_setting(std::string_view document, std::string_view key) {
  const auto& rows = setting_rows();
  const auto found = std::ranges::find_if(
      rows, [&](const SettingRow& row) { return row.document == document && row.key == key; });
  return found == rows.end() ? nullptr : &*found;
}

std::vector<std::string> keys_of(std::string_view document) {
  std::vector<std::string> keys;
  for (const SettingRow& row : setting_rows()) {
    if (row.document == document) keys.emplace_back(row.key);
  }
  return keys;
}

// A setting of the text, and where it stands: "models/x.toml:3".
struct Place {
  std::string_view document;
  std::string where;
  std::string key;
};

Status check_setting(const Place& place, const json::Value& value) {
  const SettingRow* row = find_setting(place.document, place.key);
  if (row == nullptr && std::ranges::find(kSecrets, text::lower(place.key)) != kSecrets.end()) {
    return fail(EBADMSG,
                "{}: a key does not belong into a document that can be read; put it into "
                "a file of mode 0600 and its path into key_file, or name an environment variable "
                "in key_env",
                place.where);
  }
  if (row == nullptr) {
    const auto keys = keys_of(place.document);
    return fail(EBADMSG, "{}: unknown setting ({}){}; there are {}", place.where,
                text::shown(place.key), text::did_you_mean(place.key, keys),
                text::join(keys, ", "));
  }
  const SettingRule* rule = find_rule(place.document, place.key);
  if (!has_type(value, row->type)) {
    return fail(EBADMSG, "{}: {} is not {} ({}); {}{}", place.where, place.key,
                type_words(row->type), shown(value),
                rule != nullptr ? fmt::format("{} would do: ", rule->wants) : "", row->doc);
  }
  if (rule == nullptr || rule->fits(value)) return ok();
  if (rule->fault != nullptr) return fail(EBADMSG, "{}: {}", place.where, rule->fault(value));
  return fail(EBADMSG, "{}: {} cannot be {}; {} would do", place.where, place.key, shown(value),
              rule->wants);
}

Status check_whole(std::string_view path, std::string_view document, const json::Value& values) {
  if (document != "models") return ok();
  const std::string_view driver = values["driver"].text("openai");
  if (driver == "openai" && values["base_url"].text().empty()) {
    return fail(EBADMSG,
                "{}:1: base_url is missing; an address such as "
                "https://api.openai.com/v1 would do, or driver = \"script\"",
                path);
  }
  if (driver == "script" && values["scenario"].text().empty()) {
    return fail(EBADMSG, "{}:1: scenario is missing; the path of a scenario file would do", path);
  }
  return ok();
}

template <class T>
void take(const json::Value& values, std::string_view key, T& out) {
  const json::Value& value = values[key];
  if (value.is_null()) return;
  if constexpr (std::is_same_v<T, std::string>) {
    out = value.text();
  } else if constexpr (std::is_same_v<T, bool>) {
    out = value.truth(out);
  } else if constexpr (std::is_same_v<T, double>) {
    out = value.real(out);
  } else if constexpr (std::is_integral_v<T>) {
    out = value.number(out);
  } else if (const json::Array* items = value.array()) {
    out.clear();
    for (const json::Value& item : *items) out.emplace_back(item.text());
  }
}

// "gpt-4.1": what is pasted into a shell or a spawn line as it is.
bool is_plain_name(std::string_view name) {
  constexpr std::size_t kLongest = 128;
  return !name.empty() && name.size() <= kLongest && name[0] != '.' && name[0] != '-' &&
         name.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
             "0123456789._-") == std::string_view::npos;
}

}  // namespace

std::string_view document_kind(std::string_view path) {
  if (path == "agentfs.toml") return "agentfs";
  if (path == "history.toml") return "history";
  if (path == "devices/local.toml") return "devices";
  const auto parts = text::split(path, '/');
  if (parts.size() == 2 && parts[0] == "models" && parts[1].ends_with(".toml")) return "models";
  if (parts.size() == 3 && parts[0] == "profiles" && parts[2] == "profile.toml") return "profiles";
  return "";
}

Status check_document_name(std::string_view path) {
  const auto parts = text::split(path, '/');
  const bool is_text = parts.size() == 4 && parts[0] == "profiles" && parts[2] == "context.d" &&
                       paths::is_context_name(parts[3]);
  const bool is_settings = !document_kind(path).empty() && parts.back() != ".toml";
  if ((is_text || is_settings) && std::ranges::all_of(parts, is_plain_name)) return ok();
  return fail(EINVAL,
              "/etc/{}: no name for a document; models/NAME.toml, profiles/NAME/profile.toml, "
              "profiles/NAME/context.d/NAME.md, devices/local.toml, agentfs.toml and "
              "history.toml are, where NAME "
              "is made of letters, digits, -, _ and .",
              text::shown(path));
}

Status check_directory_name(std::string_view path) {
  const auto parts = text::split(path, '/');
  const bool is_top =
      parts.size() == 1 && (path == "models" || path == "devices" || path == "profiles");
  const bool is_profile = parts[0] == "profiles" &&
                          (parts.size() == 2 || (parts.size() == 3 && parts[2] == "context.d"));
  if ((is_top || is_profile) && std::ranges::all_of(parts, is_plain_name)) return ok();
  return fail(EINVAL,
              "/etc/{}: no directory of documents; profiles/NAME and profiles/NAME/context.d are, "
              "where NAME is made of letters, digits, -, _ and .",
              text::shown(path));
}

Result<json::Value> parse_document(std::string_view path, std::string_view text) {
  if (!text::is_utf8(text) || text.find('\0') != std::string_view::npos) {
    return fail(
        EBADMSG,
        "{}: is no text ({} bytes that are not all UTF-8, or a NUL); text in UTF-8 would do", path,
        text.size());
  }
  const std::string_view document = document_kind(path);
  json::Value values = json::Object{};
  try {
    const toml::table table = toml::parse(text);
    for (const auto& [key, node] : table) {
      const Place place{.document = document,
                        .where = fmt::format("{}:{}", path, node.source().begin.line),
                        .key = std::string(key.str())};
      json::Value value = converted(node);
      TRY(check_setting(place, value));
      values.set(place.key, std::move(value));
    }
  } catch (const toml::parse_error& error) {
    return fail(EBADMSG, "{}:{}: not TOML: {}; a line such as name = \"value\" would do", path,
                error.source().begin.line, error.description());
  }
  TRY(check_whole(path, document, values));
  return values;
}

ModelSettings model_settings(const std::string& name, const json::Value& values) {
  ModelSettings s;
  s.name = name;
  take(values, "driver", s.driver);
  take(values, "base_url", s.base_url);
  take(values, "model", s.model);
  take(values, "key_env", s.secret_environment);
  take(values, "key_file", s.secret_file);
  take(values, "scenario", s.scenario);
  take(values, "fallback", s.fallback);
  take(values, "usd_per_million_in", s.usd_per_million_in);
  take(values, "usd_per_million_out", s.usd_per_million_out);
  take(values, "usd_per_million_cached", s.usd_per_million_cached);
  take(values, "context_tokens", s.context_tokens);
  take(values, "max_output_tokens", s.max_output_tokens);
  take(values, "temperature", s.temperature);
  take(values, "connect_timeout_ms", s.connect_timeout_ms);
  take(values, "idle_timeout_ms", s.idle_timeout_ms);
  take(values, "total_timeout_ms", s.total_timeout_ms);
  take(values, "max_attempts", s.max_attempts);
  take(values, "backoff_ms", s.backoff_ms);
  take(values, "stream", s.stream);
  return s;
}

DeviceSettings device_settings(const json::Value& values) {
  DeviceSettings s;
  s.sandbox = values["sandbox"].text("bwrap") != "none";
  take(values, "network", s.network);
  take(values, "fs", s.fs);
  take(values, "timeout_ms", s.limits.timeout_ms);
  take(values, "memory_bytes", s.limits.memory_bytes);
  take(values, "processes", s.limits.processes);
  take(values, "output_bytes", s.limits.output_bytes);
  take(values, "file_bytes", s.limits.file_bytes);
  return s;
}

ProfileSettings profile_settings(const json::Value& values) {
  ProfileSettings s;
  take(values, "model", s.model);
  if (values["tools"].array() != nullptr) take(values, "tools", s.tools.emplace());
  s.limits = parse_limits(values["limits"].text()).value_or(Limits{});
  take(values, "max_parallel_calls", s.max_parallel_calls);
  take(values, "context_tokens", s.context_tokens);
  take(values, "tool_result_bytes", s.tool_result_bytes);
  take(values, "fs", s.fs);
  return s;
}

KernelSettings kernel_settings(const json::Value& values) {
  KernelSettings s;
  take(values, "reap_after_seconds", s.reap_after_seconds);
  take(values, "journal_segment_bytes", s.journal_segment_bytes);
  take(values, "spawn_depth", s.spawn_depth);
  take(values, "spawn_descendants", s.spawn_descendants);
  return s;
}

HistorySettings history_settings(const json::Value& values) {
  HistorySettings s;
  take(values, "days", s.days);
  take(values, "share", s.share);
  take(values, "ignored_days", s.ignored_days);
  take(values, "ignored_share", s.ignored_share);
  take(values, "index_bytes", s.index_bytes);
  take(values, "reserve", s.reserve);
  take(values, "largest_bytes", s.largest_bytes);
  take(values, "largest_copy_bytes", s.largest_copy_bytes);
  const std::string_view stale = values["stale_writes"].text();
  if (stale == "merge") s.stale_writes = StalePolicy::merge;
  if (stale == "allow") s.stale_writes = StalePolicy::allow;
  return s;
}

}  // namespace agentfs
