// SPDX-License-Identifier: MIT
#include "wire/world.h"

#include "base/text.h"

namespace agentfs::test {
namespace {

World* current = nullptr;

struct Thing {
  std::string name;
};

Result<std::shared_ptr<const World>> find_world(const Caller&, const vfs::Key&) {
  return std::shared_ptr<const World>(current, [](const World*) {});
}

Result<std::shared_ptr<const Thing>> find_thing(const Caller&, const vfs::Key& key) {
  for (const std::string& name : current->things()) {
    if (name == key[0]) return std::make_shared<const Thing>(name);
  }
  return fail(ENOENT, "{}: no such thing", key[0]);
}

Result<std::string> show_value(const World& world, const Caller&) { return world.value(); }

Status set_value(const World&, const Caller&, std::string_view text) {
  if (text == "bad") return fail(EINVAL, "setting: not a value ({}); good would do", text);
  current->did("setting " + std::string(text));
  current->set_value(std::string(text) + "\n");
  return ok();
}

Status deliver(const World&, const Caller&, std::string_view text) {
  current->did("message " + std::string(text));
  return ok();
}

Status run_say(const World&, const Caller&, const fcp::Rest& words) {
  current->did("say " + words.text);
  return ok();
}

Status run_refuse(const World&, const Caller&) { return fail(EPERM, "refuse: asked to"); }

void ask(const World&, const Caller&, std::string request, Completion<std::string> done) {
  if (request == "now") return done.complete(std::string("at once\n"));
  current->park(std::move(request), std::move(done));
}

void wait(const World&, const Caller&, Completion<std::string> done) {
  current->park("wait", std::move(done));
}

Result<vfs::Unsubscribe> follow(const World&, const Caller&, vfs::Sink sink) {
  return current->follow(std::move(sink));
}

Result<std::string> show_link(const World&, const Caller&) { return std::string("value"); }

Result<std::vector<std::string>> list_things(const World& world, const Caller&) {
  return world.things();
}

Result<std::string> show_name(const Thing& thing, const Caller&) { return vfs::line(thing.name); }

constexpr auto kVerbs = vfs::verbs<World>({
    vfs::verb<run_refuse>("refuse", "refuse", "Fails with EPERM."),
    vfs::verb<run_say>("say", "say WORDS", "Remembers the words."),
});

constexpr auto kThingFiles = vfs::files<Thing>({
    {.name = "name", .mode = 0444, .doc = "Its name.", .read = show_name},
});
const vfs::Directory<Thing> kThing{"<thing>", "One thing.", find_thing, kThingFiles};

const auto kFiles = std::to_array<vfs::File<World>>({
    {.name = "<thing>", .mode = 0755, .doc = "A thing.", .directory = &kThing, .list = list_things},
    {.name = "answer",
     .mode = 0666,
     .doc = "Answers when the test says so.",
     .reply = ask,
     .usage = "anything"},
    {.name = "ctl", .mode = 0644, .doc = "Commands.", .verbs = kVerbs},
    {.name = "data", .mode = 0755, .doc = "A tree of files.", .data = true},
    {.name = "events", .mode = 0444, .doc = "What is pushed.", .follow = follow, .listed = false},
    {.name = "link", .mode = 0777, .doc = "Leads to the value.", .link = show_link},
    {.name = "message",
     .mode = 0644,
     .doc = "Takes messages.",
     .read = show_value,
     .deliver = deliver},
    {.name = "setting",
     .mode = 0644,
     .doc = "The value, to be set.",
     .read = show_value,
     .write = set_value},
    {.name = "value", .mode = 0444, .doc = "The value.", .read = show_value},
    {.name = "wait", .mode = 0444, .doc = "Waits for an answer.", .wait = wait, .listed = false},
});
const vfs::Directory<World> kRoot{"", "A small world.", find_world, kFiles};

}  // namespace

const vfs::DirectoryType& world_root() { return kRoot; }

World& World::now() { return *current; }
World::World() { current = this; }
World::~World() { current = nullptr; }

std::string World::value() const {
  Lock lock(mutex_);
  return value_;
}

void World::set_value(std::string value) {
  Lock lock(mutex_);
  value_ = std::move(value);
}

void World::add_thing(const std::string& name) {
  Lock lock(mutex_);
  things_[name] = true;
}

void World::remove_thing(const std::string& name) {
  Lock lock(mutex_);
  things_.erase(name);
}

std::vector<std::string> World::things() const {
  std::vector<std::string> names;
  Lock lock(mutex_);
  for (const auto& [name, there] : things_) names.push_back(name);
  return names;
}

void World::did(std::string what) {
  Lock lock(mutex_);
  done_.push_back(std::move(what));
}

std::vector<std::string> World::done() const {
  Lock lock(mutex_);
  return done_;
}

void World::park(std::string request, Completion<std::string> answer) {
  std::uint64_t number = 0;
  {
    Lock lock(mutex_);
    number = next_++;
    waiting_.push_back({number, std::move(request), answer});
  }
  answer.on_cancel([this, number] { cancelled(number); });
}

void World::cancelled(std::uint64_t number) {
  Completion<std::string> ended;
  {
    Lock lock(mutex_);
    ++cancelled_;
    const auto found = std::ranges::find(waiting_, number, &Waiting::number);
    if (quiet_ || found == waiting_.end()) return;
    ended = found->answer;
    waiting_.erase(found);
  }
  ended.complete(fail(EINTR, "answer: given up"));
}

std::size_t World::parked() const {
  Lock lock(mutex_);
  return waiting_.size();
}

std::size_t World::cancelled() const {
  Lock lock(mutex_);
  return cancelled_;
}

bool World::answer(Result<std::string> answer) {
  Completion<std::string> waiting;
  {
    Lock lock(mutex_);
    if (waiting_.empty()) return false;
    waiting = waiting_.front().answer;
    waiting_.pop_front();
  }
  waiting.complete(std::move(answer));
  return true;
}

void World::cancel_quietly(bool on) {
  Lock lock(mutex_);
  quiet_ = on;
}

vfs::Unsubscribe World::follow(vfs::Sink sink) {
  Lock lock(mutex_);
  const std::uint64_t number = next_++;
  sinks_[number] = std::move(sink);
  return [this, number] {
    vfs::Sink dropped;
    Lock unlocking(mutex_);
    dropped = std::move(sinks_[number]);
    sinks_.erase(number);
  };
}

void World::push(std::string_view text, bool end) {
  std::map<std::uint64_t, vfs::Sink> sinks;
  {
    Lock lock(mutex_);
    sinks = sinks_;
  }
  for (const auto& [number, sink] : sinks) sink(text, end);
}

std::size_t World::followers() const {
  Lock lock(mutex_);
  return sinks_.size();
}

// --- services

Caller FakeServices::identify(const HostCaller& host) {
  Lock lock(mutex_);
  const auto agent = agents_.find(host.pid);
  const ProcessId process = agent != agents_.end() ? agent->second : ProcessId{1};
  return {.kernel = nullptr, .process = process, .host = host, .path = {}, .via = {}};
}

void FakeServices::make_agent(pid_t host_pid, ProcessId process) {
  Lock lock(mutex_);
  agents_[host_pid] = process;
}

Result<Caller> FakeServices::ensure_caller(const HostCaller& host) { return identify(host); }

void FakeServices::note_error(const Caller&, std::string_view path, const Error& error) {
  Lock lock(mutex_);
  errors_.push_back(fmt::format("{} {}: {}", errno_name(error.code), path, error.message));
}

Status FakeServices::record_change(const Caller& caller, const TreeChange& change) {
  Lock lock(mutex_);
  if (refusing_) return fail(ENOSPC, "journal: the disk is full");
  changes_.push_back({change.operation, change.path, change.bytes, change.other,
                      change.details.empty() ? "" : json::dump(change.details)});
  authors_.push_back(caller.host.pid);
  return ok();
}

Status FakeServices::record_control(const Caller&, const std::string& path, std::string_view text) {
  Lock lock(mutex_);
  changes_.push_back({"control", path, text.size()});
  return ok();
}

Status FakeServices::sync() {
  count("", "sync");
  return ok();
}

void FakeServices::count(std::string_view, std::string_view operation) {
  Lock lock(mutex_);
  ++counts_[std::string(operation)];
}

std::vector<ChangeRow> FakeServices::take_changes() {
  Lock lock(mutex_);
  return std::exchange(changes_, {});
}

std::vector<pid_t> FakeServices::authors() const {
  Lock lock(mutex_);
  return authors_;
}

std::vector<std::string> FakeServices::errors() const {
  Lock lock(mutex_);
  return errors_;
}

int FakeServices::counted(const std::string& operation) const {
  Lock lock(mutex_);
  const auto found = counts_.find(operation);
  return found != counts_.end() ? found->second : 0;
}

void FakeServices::refuse_changes(bool on) {
  Lock lock(mutex_);
  refusing_ = on;
}

}  // namespace agentfs::test
