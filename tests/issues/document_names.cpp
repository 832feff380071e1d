// SPDX-License-Identifier: MIT
// In directories of documents an empty new document of any name was accepted, "bad\nname" too, and
// an empty one could be renamed onto README.
#include "catch.h"
#include "kernel/configuration.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

using Catch::Matchers::has;

int create(TreeWorld& world, const std::string& path, std::string_view text = {}) {
  const auto made =
      world.get(parent_of(path))->create(world.request(), name_of(path), O_WRONLY | O_CREAT, 0644);
  if (!made) return made.error().code;
  int code = text.empty() ? 0 : write_once(world.request(), *made->opened.handle, text);
  const Status flushed = made->opened.handle->flush(world.request());
  made->opened.handle->release();
  if (code == 0 && !flushed) code = flushed.error().code;
  return code;
}

int rename(TreeWorld& world, const std::string& from, const std::string& to) {
  const Status renamed =
      world.get(parent_of(from))
          ->rename(world.request(), name_of(from), *world.get(parent_of(to)), name_of(to), 0);
  return renamed ? 0 : renamed.error().code;
}

TEST_CASE("A name that no document could have is refused when it is made") {
  TreeWorld world;
  const std::string rules = world.path_of(world.idle, "context.d");
  REQUIRE(world.get("/etc")->make_directory(world.request(), "devices", 0755));
  const std::uint64_t head = world.head();
  for (const std::string& path :
       {std::string("/etc/models/bad\nname"), std::string("/etc/models/bad\nname.toml"),
        std::string("/etc/models/a b.toml"), std::string("/etc/models/-a.toml"),
        std::string("/etc/models/a.txt"), std::string("/etc/models/a.md"),
        std::string("/etc/devices/other.toml"), std::string("/etc/other.toml"), rules + "/a.txt",
        rules + "/bad\nname", rules + "/a b.md"}) {
    INFO(path);
    CHECK(create(world, path) == EINVAL);
    CHECK_THAT(world.errors().back(), has("EINVAL") && has("no name for a"));
    CHECK(world.find(path).error().code == ENOENT);
  }
  CHECK(world.head() == head);
  CHECK(world.get("/etc")->make_directory(world.request(), "other", 0755).error().code == EINVAL);
}

TEST_CASE("Names that documents have are taken") {
  TreeWorld world;
  const std::string model = "driver = \"script\"\nscenario = \"/dev/null\"\n";
  for (const char* name : {"a-1.toml", "gpt-4.1.toml", "Qwen_2.toml"}) {
    INFO(name);
    const std::string path = fmt::format("/etc/models/{}", name);
    CHECK(create(world, path, model) == 0);
    CHECK(world.read(path) == model);
  }
  REQUIRE(world.get("/etc")->make_directory(world.request(), "devices", 0755));
  CHECK(create(world, "/etc/devices/local.toml", "network = false\n") == 0);
  CHECK(create(world, world.path_of(world.idle, "context.d/10-a.md"), "x\n") == 0);
  const Configuration& configuration = world.kernel().configuration();
  CHECK(configuration.check("profiles/writer/context.d/10-a.md", "x\n"));
  CHECK(configuration.check("profiles/writer/profile.toml", "model = \"other\"\n"));
}

TEST_CASE("Tools' temporary names beside documents are no documents, and become one by rename") {
  TreeWorld world;
  const std::string model = "driver = \"script\"\nscenario = \"/dev/null\"\n";
  const std::uint64_t head = world.head();
  for (const char* name :
       {"4913", ".other.toml.swp", "other.toml.tmp.123.abc", "sedA1b2C3", "other.toml.9f3",
        "new.toml___jb_tmp___", "XXq8Vr1f", "other.toml~", "other.toml.new"}) {
    INFO(name);
    const std::string path = fmt::format("/etc/models/{}", name);
    CHECK(create(world, path, model) == 0);
    CHECK(world.read(path) == model);
    CHECK(world.kernel().configuration().text(path.substr(5)).error().code == ENOENT);
  }
  CHECK(world.head() == head);
  CHECK(world.errors().empty());
  CHECK(rename(world, "/etc/models/XXq8Vr1f", "/etc/models/third.toml") == 0);
  CHECK(world.read("/etc/models/third.toml") == model);
}

TEST_CASE("No document is renamed to a name that is none") {
  TreeWorld world;
  const std::string rules = world.path_of(world.idle, "context.d");
  CHECK(create(world, "/etc/profiles.toml.tmp") == 0);
  CHECK(create(world, "/etc/agentfs.toml") == 0);  // without a setting, and valid
  CHECK(create(world, "/etc/models/sedA1b2C3") == 0);
  CHECK(rename(world, "/etc/agentfs.toml", "/etc/README") == EBADMSG);
  CHECK(rename(world, "/etc/profiles.toml.tmp", "/etc/README") == EBADMSG);
  CHECK(rename(world, "/etc/models/sedA1b2C3", "/etc/models/bad\nname") == EBADMSG);
  CHECK(rename(world, "/etc/models/default.toml", "/etc/models/README") == EBADMSG);
  CHECK(rename(world, rules + "/rules.md", rules + "/README") == EBADMSG);
  CHECK_THAT(world.errors().back(), has("no name for a text") && has("README"));
  CHECK_THAT(world.read("/etc/README"), has("checked when saved"));
  CHECK(world.read(rules + "/rules.md") == "Be brief.\n");
  CHECK(world.find("/etc/models/default.toml"));
}

}  // namespace
}  // namespace agentfs::test
