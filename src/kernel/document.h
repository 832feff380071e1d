// SPDX-License-Identifier: MIT
// Documents of settings: TOML text checked against the rows. The only users of the TOML library are
// document.cpp.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/json.h"
#include "kernel/configuration.h"

namespace agentfs {

// "models" for models/<name>.toml, "devices" for devices/local.toml, "profiles" for
// profiles/<name>/profile.toml, "agentfs" for agentfs.toml, "history" for history.toml; "" for
// every other file.
std::string_view document_kind(std::string_view path);

// Could a document be saved under this path below /etc? EINVAL with what could be: each kind has
// its place and suffix, and names need no quoting.
Status check_document_name(std::string_view path);
// Could a directory of documents be made there? EINVAL.
Status check_directory_name(std::string_view path);

// The settings that the text gives, by key. EBADMSG with path and line: no TOML, an unknown key
// (with the nearest ones), a wrong type, a value out of range, a key that is no place for secrets.
Result<json::Value> parse_document(std::string_view path, std::string_view text);

ModelSettings model_settings(const std::string& name, const json::Value& values);
DeviceSettings device_settings(const json::Value& values);
ProfileSettings profile_settings(const json::Value& values);
KernelSettings kernel_settings(const json::Value& values);
HistorySettings history_settings(const json::Value& values);

}  // namespace agentfs
