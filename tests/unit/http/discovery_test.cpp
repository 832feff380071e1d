// SPDX-License-Identifier: MIT
#include "backends/http/discovery.h"

#include <map>

#include "catch.h"
#include "support/fault_server.h"

using namespace agentfs;
using namespace agentfs::testing;

namespace {

std::optional<ModelSettings> with(const std::map<std::string, std::string>& variables) {
  return settings_from_environment([&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found != variables.end() ? found->second.c_str() : nullptr;
  });
}

Response models(std::vector<std::string> ids) {
  json::Array data;
  for (std::string& id : ids) data.push_back(json::Object{{"id", std::move(id)}});
  return Response::json(json::Object{{"object", "list"}, {"data", std::move(data)}});
}

}  // namespace

TEST_CASE("discovery: settings from the environment") {
  CHECK_FALSE(with({}));
  CHECK_FALSE(with({{"OPENAI_MODEL", "m"}, {"OPENAI_API_KEY", ""}}));

  const auto key = with({{"OPENAI_API_KEY", "sk-1"}, {"OPENAI_MODEL", "m"}});
  REQUIRE(key);
  CHECK(key->name == "default");
  CHECK(key->base_url == "https://api.openai.com/v1");
  CHECK(key->model == "m");
  CHECK(key->secret_environment == "OPENAI_API_KEY");
  CHECK_FALSE(with({{"OPENAI_API_KEY", "sk-1"}})->model.empty());

  const auto url = with({{"OPENAI_BASE_URL", "http://127.0.0.1:1/v1"}});
  REQUIRE(url);
  CHECK(url->base_url == "http://127.0.0.1:1/v1");
  CHECK(url->secret_environment.empty());
}

TEST_CASE("discovery: the first local server that has a model") {
  FaultServer none({models({})});
  FaultServer broken({Response::error(500, "no")});
  FaultServer embeds({models({"nomic-embed-text", "llama3"})});
  FaultServer second({models({"other"})});
  const auto found =
      discover_local({unused_port(), none.port(), broken.port(), embeds.port(), second.port()},
                     std::chrono::seconds(20));
  REQUIRE(found);
  CHECK(found->model == "llama3");
  CHECK(found->base_url == embeds.base_url());
  CHECK(found->name == "default");
  CHECK(embeds.requests().at(0).target == "/v1/models");
  CHECK(second.requests().empty());
}

TEST_CASE("discovery: nobody, garbage and silence are nothing") {
  FaultServer garbage({Response::garbage("\x01\x02")});
  FaultServer silent({Response::never()});
  CHECK_FALSE(discover_local({unused_port(), garbage.port(), silent.port()},
                             std::chrono::milliseconds(50)));
}
