// SPDX-License-Identifier: MIT
// Every syscall of the table, through the entry that tools and control files use.
#include <algorithm>

#include "catch.h"
#include "kernel/syscalls/table.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

using Catch::Matchers::has;

json::Value sample(std::string_view type) {
  if (type == "string") return "1";
  if (type == "boolean") return true;
  if (type == "number") return 1.5;
  return 1;
}

// A value of the field's type for each field that must be there.
json::Value sample_arguments(const SyscallEntry& entry) {
  json::Value arguments = json::Object{};
  for (const FieldInfo& field : entry.fields) {
    if (field.required) arguments.set(field.name, sample(field.type));
  }
  return arguments;
}

Error call_refused(TreeWorld& world, const Caller& caller, const SyscallEntry& entry,
                   const json::Value& arguments) {
  INFO(entry.row.name << " " << json::dump(arguments));
  const std::uint64_t head = world.head();
  const Answer<std::string> answer;
  entry.call(caller, arguments, answer.completion());
  REQUIRE(answer.is_there());
  const auto result = answer.wait();
  REQUIRE_FALSE(result);
  CHECK(world.head() == head);
  return result.error();
}

TEST_CASE("A syscall has a name of a group and a verb, a document and documented fields") {
  CHECK(all_syscalls().size() >= 17);
  std::string_view last;
  for (const SyscallEntry& entry : all_syscalls()) {
    INFO(entry.row.name);
    const auto parts = text::split(entry.row.name, '.');
    REQUIRE(parts.size() == 2);
    CHECK(entry.row.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz-.") == std::string::npos);
    CHECK((!parts[0].empty() && !parts[1].empty()));
    CHECK(last < entry.row.name);
    last = entry.row.name;
    CHECK(is_sentence(entry.row.doc));
    CHECK(entry.call != nullptr);
    CHECK(find_syscall(entry.row.name) == &entry);
    for (const FieldInfo& field : entry.fields) {
      INFO(field.name);
      CHECK((field.doc.size() > 3 && field.doc.ends_with('.')));
      CHECK(field.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string::npos);
    }
  }
  CHECK(find_syscall("proc.nothing") == nullptr);
}

TEST_CASE("A syscall without a field that it needs is EINVAL, and the sentence names the field") {
  TreeWorld world;
  for (const SyscallEntry& entry : all_syscalls()) {
    for (const FieldInfo& field : entry.fields) {
      if (!field.required) continue;
      json::Value arguments = json::Object{};
      for (const FieldInfo& other : entry.fields) {
        if (other.name != field.name) arguments.set(other.name, sample(other.type));
      }
      const Error error = call_refused(world, world.request().caller(), entry, arguments);
      CHECK(error.code == EINVAL);
      CHECK_THAT(error.message, has(std::string(field.name)) && has(std::string(entry.row.name)));
    }
    if (sample_arguments(entry).object()->empty()) continue;
    const Error empty = call_refused(world, world.request().caller(), entry, json::Object{});
    CHECK(empty.code == EINVAL);
    CHECK_THAT(empty.message, has(std::string(entry.fields[0].name)));
  }
}

TEST_CASE("A syscall with a member that it does not know is EINVAL, and the sentence names it") {
  TreeWorld world;
  for (const SyscallEntry& entry : all_syscalls()) {
    json::Value arguments = sample_arguments(entry);
    arguments.set("surplus", 1);
    const Error error = call_refused(world, world.request().caller(), entry, arguments);
    CHECK(error.code == EINVAL);
    CHECK_THAT(error.message, has("surplus") && has(std::string(entry.row.name)));
    for (const FieldInfo& field : entry.fields)
      CHECK_THAT(error.message, has(std::string(field.name)));
  }
}

TEST_CASE("A syscall with a field of the wrong type is EINVAL, and the sentence names the field") {
  TreeWorld world;
  for (const SyscallEntry& entry : all_syscalls()) {
    for (const FieldInfo& field : entry.fields) {
      for (const json::Value& wrong : {json::Value(json::Array{"odd"}), json::Value(json::Object{}),
                                       json::Value(field.type == "string" ? "" : "odd")}) {
        if (field.type == "string" && wrong.string() != nullptr) continue;
        json::Value arguments = sample_arguments(entry);
        arguments.set(field.name, wrong);
        const Error error = call_refused(world, world.request().caller(), entry, arguments);
        CHECK(error.code == EINVAL);
        CHECK_THAT(error.message, has(std::string(field.name)));
      }
    }
  }
}

TEST_CASE("Arguments that are no object are EINVAL") {
  TreeWorld world;
  for (const SyscallEntry& entry : all_syscalls()) {
    for (const json::Value& wrong :
         {json::Value("text"), json::Value(7), json::Value(true), json::Value(json::Array{1})}) {
      CHECK(call_refused(world, world.request().caller(), entry, wrong).code == EINVAL);
    }
  }
}

TEST_CASE("A dead caller is ESRCH for every syscall, a caller without a process EPERM") {
  TreeWorld world;
  const Caller dead = world.kernel().agent(world.dead);
  Caller nobody = world.request().caller();
  nobody.process = {};
  for (const SyscallEntry& entry : all_syscalls()) {
    INFO(entry.row.name);
    const json::Value arguments = sample_arguments(entry);
    CHECK(call_refused(world, dead, entry, arguments).code == ESRCH);
    if (entry.row.kind == CallKind::query) continue;
    CHECK(call_refused(world, nobody, entry, arguments).code == EPERM);
  }
}

TEST_CASE("A refused syscall is told to its caller and counted") {
  TreeWorld world;
  for (const SyscallEntry& entry : all_syscalls()) {
    INFO(entry.row.name);
    const std::size_t before = world.errors().size();
    json::Value arguments = sample_arguments(entry);
    arguments.set("surplus", 1);
    call_refused(world, world.request().caller(), entry, arguments);
    REQUIRE(world.errors().size() == before + 1);
    CHECK_THAT(world.errors().back(), has("surplus") && has(std::string(entry.row.name)));
    const std::string shown = world.read(fmt::format("/sys/syscalls/{}", entry.row.name));
    CHECK_THAT(shown, has("errors\t1\n"));
  }
}

TEST_CASE("The schema of a syscall is a JSON schema of its fields") {
  for (const SyscallEntry& entry : all_syscalls()) {
    INFO(entry.row.name);
    const auto schema = json::parse(json::dump(json_schema(entry.fields)));
    REQUIRE(schema);
    CHECK((*schema)["type"].text() == "object");
    CHECK(*(*schema)["additionalProperties"].boolean() == false);
    const json::Object* properties = (*schema)["properties"].object();
    const json::Array* required = (*schema)["required"].array();
    REQUIRE((properties != nullptr && required != nullptr));
    REQUIRE(properties->size() == entry.fields.size());
    for (const FieldInfo& field : entry.fields) {
      INFO(field.name);
      const json::Value& property = (*schema)["properties"][field.name];
      CHECK(property["type"].text() == field.type);
      CHECK(property["description"].text() == field.doc);
      const bool is_required =
          std::ranges::find(*required, json::Value(field.name)) != required->end();
      CHECK(is_required == field.required);
    }
  }
}

TEST_CASE("A syscall's file tells its document and its arguments") {
  TreeWorld world;
  const std::string all = world.read("/sys/syscalls/_all.tsv");
  for (const SyscallEntry& entry : all_syscalls()) {
    INFO(entry.row.name);
    const std::string shown = world.read(fmt::format("/sys/syscalls/{}", entry.row.name));
    CHECK_THAT(shown, has(std::string(entry.row.doc)));
    for (const FieldInfo& field : entry.fields) {
      CHECK_THAT(shown, has(fmt::format("argument\t{}\t{}", field.name, field.type)) &&
                            has(std::string(field.doc)));
    }
    CHECK_THAT(all, has(std::string(entry.row.name)) && has(std::string(entry.row.doc)));
  }
}

}  // namespace
}  // namespace agentfs::test
