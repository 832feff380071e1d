// SPDX-License-Identifier: MIT
#include "backends/http/endpoint.h"

#include <curl/curl.h>

#include <memory>

#include "base/text.h"

namespace agentfs::http {
namespace {

using Url = std::unique_ptr<CURLU, decltype([](CURLU* url) { ::curl_url_cleanup(url); })>;

std::string part(const Url& url, CURLUPart which) {
  char* value = nullptr;
  if (::curl_url_get(url.get(), which, &value, 0) != CURLUE_OK) return "";
  std::string copy = value;
  ::curl_free(value);
  return copy;
}

bool is_loopback(std::string_view host) {
  return host == "localhost" || host.ends_with(".localhost") || host.starts_with("127.") ||
         host == "[::1]" || host.starts_with("[::ffff:127.");
}

}  // namespace

Result<Endpoint> endpoint(std::string_view base_url, std::string_view path) {
  constexpr std::string_view kWanted = "http://127.0.0.1:11434/v1 would do";
  if (base_url.empty()) return fail(EINVAL, "base_url: not set; {}", kWanted);
  const Url url(::curl_url());
  if (!url) return fail(ENOSPC, "base_url: out of memory");
  const std::string text(base_url);
  if (::curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) {
    const std::size_t at = base_url.rfind('@');  // what is before it may be a password
    return fail(EINVAL, "base_url: not an address ({}); {}",
                text::shown(at == std::string_view::npos ? base_url : base_url.substr(at)),
                kWanted);
  }
  if (!part(url, CURLUPART_USER).empty() || !part(url, CURLUPART_PASSWORD).empty()) {
    return fail(EINVAL,
                "base_url: holds a user or password, which would be shown; give the key by "
                "an environment variable or a file");
  }
  const std::string scheme = part(url, CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https") {
    return fail(EINVAL, "base_url: neither http nor https ({}); {}", text::shown(base_url),
                kWanted);
  }
  std::string whole = part(url, CURLUPART_PATH);
  while (whole.ends_with('/')) whole.pop_back();
  whole += path;
  ::curl_url_set(url.get(), CURLUPART_PATH, whole.c_str(), 0);
  ::curl_url_set(url.get(), CURLUPART_FRAGMENT, nullptr, 0);
  Endpoint out;
  out.url = part(url, CURLUPART_URL);
  const std::string host = text::lower(part(url, CURLUPART_HOST));
  const std::string port = part(url, CURLUPART_PORT);
  out.shown = scheme + "://" + host + (port.empty() ? "" : ":" + port);
  out.loopback = is_loopback(host);
  return out;
}

}  // namespace agentfs::http
