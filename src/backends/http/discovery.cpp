// SPDX-License-Identifier: MIT
#include "backends/http/discovery.h"

#include <curl/curl.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "base/json.h"
#include "base/text.h"

namespace agentfs {
namespace {

constexpr std::size_t kLongestList = 1u << 20;

std::size_t append(char* bytes, std::size_t one, std::size_t count, void* text) {
  auto* out = static_cast<std::string*>(text);
  if (out->size() + one * count > kLongestList) return CURL_WRITEFUNC_ERROR;
  out->append(bytes, one * count);
  return one * count;
}

std::optional<std::string> get(const std::string& url, std::chrono::milliseconds timeout) {
  const std::unique_ptr<CURL, decltype([](CURL* h) { ::curl_easy_cleanup(h); })> handle(
      ::curl_easy_init());
  std::string body;
  long status = 0;
  const auto set = [&](CURLoption option, auto value) {
    ::curl_easy_setopt(handle.get(), option, value);
  };
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http");
  set(CURLOPT_PROXY, "");
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(timeout.count()));
  set(CURLOPT_WRITEFUNCTION, &append);
  set(CURLOPT_WRITEDATA, &body);
  if (::curl_easy_perform(handle.get()) != CURLE_OK) return std::nullopt;
  ::curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
  if (status != 200) return std::nullopt;
  return body;
}

std::optional<std::string> first_model(const std::string& list) {
  const auto answer = json::parse(list);
  if (!answer || (*answer)["data"].array() == nullptr) return std::nullopt;
  for (const json::Value& model : *(*answer)["data"].array()) {
    const std::string_view id = model["id"].text();
    if (!id.empty() && !text::lower(id).contains("embed")) return std::string(id);
  }
  return std::nullopt;
}

std::string value_of(const std::function<const char*(const char*)>& variable, const char* name) {
  const char* value = variable(name);
  return value != nullptr ? std::string(text::trim(value)) : std::string();
}

}  // namespace

std::optional<ModelSettings> settings_from_environment(
    const std::function<const char*(const char*)>& variable) {
  const std::string base_url = value_of(variable, "OPENAI_BASE_URL");
  const bool has_key = !value_of(variable, "OPENAI_API_KEY").empty();
  if (base_url.empty() && !has_key) return std::nullopt;
  ModelSettings settings;
  settings.name = "default";
  settings.base_url = base_url.empty() ? "https://api.openai.com/v1" : base_url;
  settings.model = value_of(variable, "OPENAI_MODEL");
  // A server of one's own knows its model without being told; OpenAI's does not.
  if (settings.model.empty() && base_url.empty()) settings.model = "gpt-4o-mini";
  if (has_key) settings.secret_environment = "OPENAI_API_KEY";
  return settings;
}

std::optional<ModelSettings> settings_from_environment() {
  return settings_from_environment([](const char* name) -> const char* { return ::getenv(name); });
}

std::optional<ModelSettings> discover_local(const std::vector<std::uint16_t>& ports,
                                            std::chrono::milliseconds timeout) {
  for (const std::uint16_t port : ports) {
    const std::string base_url = fmt::format("http://127.0.0.1:{}/v1", port);
    const auto list = get(base_url + "/models", timeout);
    auto model = list ? first_model(*list) : std::nullopt;
    if (!model) continue;
    ModelSettings settings;
    settings.name = "default";
    settings.base_url = base_url;
    settings.model = *std::move(model);
    return settings;
  }
  return std::nullopt;
}

}  // namespace agentfs
