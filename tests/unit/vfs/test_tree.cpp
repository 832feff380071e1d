// SPDX-License-Identifier: MIT
#include "test_tree.h"

#include <unistd.h>

#include <memory>

namespace agentfs::vfs {
namespace {

std::unique_ptr<World> current = std::make_unique<World>();  // an empty one for who makes none

using Guard = std::lock_guard<std::mutex>;

Box& box_of(const Box& box) { return const_cast<Box&>(box); }

Result<std::shared_ptr<const World>> find_world(const Caller&, const Key&) {
  return std::shared_ptr<const World>(std::shared_ptr<const World>(), &world());
}
Result<std::shared_ptr<const Box>> find_box(const Caller&, const Key& key) {
  if (auto box = world().box(key.at(0))) return box;
  return fail(ENOENT, "/boxes/{}: no such box", key[0]);
}

Result<std::string> show_state(const Box& b, const Caller&) {
  const Guard guard(b.mutex);
  return line(b.state);
}
Result<std::string> show_level(const Box& b, const Caller&) {
  const Guard guard(b.mutex);
  return line(b.level);
}
Status set_level(const Box& b, const Caller&, std::string_view words) {
  if (!text::number<int>(words)) return fail(EINVAL, "level: {} is no number", text::shown(words));
  const Guard guard(b.mutex);
  box_of(b).level = words;
  return ok();
}
Status go(const Box& b, const Caller&, int times) {
  const Guard guard(b.mutex);
  box_of(b).commands.push_back(fmt::format("go {}", times));
  return ok();
}
Result<std::string> fork_box(const Box&, const Caller&) { return line("8"); }
Status say(const Box& b, const Caller&, std::string_view words) {
  const Guard guard(b.mutex);
  box_of(b).messages.emplace_back(words);
  return ok();
}
Result<std::string> show_chat(const Box& b, const Caller&) {
  const Guard guard(b.mutex);
  return text::join(b.messages, "");
}
void ask(const Box& b, const Caller&, std::string request, Completion<std::string> done) {
  if (request == "park") {
    const Guard guard(b.mutex);
    box_of(b).requests.emplace_back(request, done);
    return;
  }
  if (request == "fail") return done.complete(fail(EREMOTEIO, "ask: it answered that it failed"));
  done.complete("<" + request + ">\n");
}
void await(const Box& b, const Caller&, Completion<std::string> done) {
  const Guard guard(b.mutex);
  box_of(b).waits.push_back(done);
}
Result<Unsubscribe> follow(const Box& b, const Caller&, Sink sink) {
  const Guard guard(b.mutex);
  box_of(b).sink = std::move(sink);
  return Unsubscribe([&b] { box_of(b).unsubscribed = true; });
}
Status writable(const Box& b, const Caller&) {
  const Guard guard(b.mutex);
  if (b.dead) return fail(ESRCH, "box {}: dead", b.name);
  return ok();
}

const Box& box_at(const void* object) { return *static_cast<const Box*>(object); }
Result<std::vector<DocumentEntry>> list_documents(const void* object, const Caller&,
                                                  const std::string& path) {
  const Guard guard(box_at(object).mutex);
  std::vector<DocumentEntry> entries;
  if (!path.empty()) return entries;
  for (const auto& [name, words] : box_at(object).documents) entries.push_back({name, false});
  return entries;
}
Result<std::string> read_document(const void* object, const Caller&, const std::string& path) {
  const Guard guard(box_at(object).mutex);
  const auto found = box_at(object).documents.find(path);
  if (found != box_at(object).documents.end()) return found->second;
  return fail(ENOENT, "{}: no such document", path);
}
Status check_name(const std::string& path) {
  if (path.ends_with(".toml")) return ok();
  return fail(EINVAL, "{}: not a name that ends in .toml", path);
}
Status check_document(const void*, const Caller&, const std::string& path, std::string_view words) {
  if (words.contains('=')) return ok();
  return fail(EBADMSG, "{}: has no = ({})", path, text::shown(words));
}
Status save_document(const void* object, const Caller&, const std::string& path,
                     std::string_view words) {
  const Guard guard(box_at(object).mutex);
  box_of(box_at(object)).documents[path] = words;
  return ok();
}
Status remove_document(const void* object, const Caller&, const std::string& path) {
  const Guard guard(box_at(object).mutex);
  box_of(box_at(object)).documents.erase(path);
  return ok();
}

constexpr DocumentOperations kDocuments{.list = list_documents,
                                        .text = read_document,
                                        .content = nullptr,
                                        .check_name = check_name,
                                        .check = check_document,
                                        .save = save_document,
                                        .remove = remove_document,
                                        .make_directory = nullptr};
// As above, without anything that changes.
constexpr DocumentOperations kRecords{.list = list_documents,
                                      .text = read_document,
                                      .content = nullptr,
                                      .check = nullptr,
                                      .save = nullptr,
                                      .remove = nullptr,
                                      .make_directory = nullptr};

constexpr auto kVerbs = verbs<Box>({
    verb<fork_box>("fork", "fork", "Makes a copy, gives its number."),
    verb<go>("go", "go TIMES", "Goes on."),
});

constexpr auto kBoxFiles = files<Box>({
    {.name = "ask", .mode = 0666, .doc = "Answers.", .reply = ask, .usage = "a WORD"},
    {.name = "chat", .mode = 0666, .doc = "Talks.", .read = show_chat, .deliver = say},
    {.name = "conf", .mode = 0755, .doc = "Documents.", .documents = &kDocuments},
    {.name = "ctl", .mode = 0666, .doc = "Commands to the box.", .verbs = kVerbs},
    {.name = "level", .mode = 0666, .doc = "A number.", .read = show_level, .write = set_level},
    {.name = "records", .mode = 0555, .doc = "What was.", .documents = &kRecords},
    {.name = "state", .mode = 0444, .doc = "One word.", .read = show_state},
    {.name = "stream",
     .mode = 0444,
     .doc = "Blocks: what comes.",
     .follow = follow,
     .listed = false},
    {.name = "wait", .mode = 0444, .doc = "Blocks: the answer.", .wait = await, .listed = false},
});
const Directory<Box> kBox("<box>", "One box.", find_box, kBoxFiles, writable);

Result<std::vector<std::string>> list_boxes(const World&, const Caller&) {
  const Guard guard(world().mutex);
  std::vector<std::string> names;
  for (const auto& [name, box] : world().boxes) names.push_back(name);
  return names;
}
Result<std::string> link_self(const World&, const Caller&) { return "7"; }

constexpr auto kBoxesFiles = files<World>({
    {.name = "<box>",
     .mode = 0555,
     .doc = "One box.",
     .directory = &kBox,
     .list = list_boxes,
     .is_private = true},
    {.name = "self", .mode = 0777, .doc = "The caller's own.", .link = link_self},
});
const Directory<World> kBoxes("", "All boxes.", find_world, kBoxesFiles);

constexpr auto kRootFiles = files<World>({
    {.name = "all",
     .mode = 0555,
     .doc = "The same boxes, nothing beside.",
     .directory = &kBox,
     .list = list_boxes},
    {.name = "boxes", .mode = 0555, .doc = "All boxes.", .directory = &kBoxes},
    {.name = "work", .mode = 0755, .doc = "Plain files.", .data = true},
});
const Directory<World> kRoot("", "A tree for tests.", find_world, kRootFiles);

bool is_below(std::string_view path, const std::string& top) {
  return path == top || path.starts_with(top + "/");
}

FileSystemParts fresh_parts(FakeServices& services, std::map<std::string, TreeStore*> trees,
                            bool shared) {
  current = std::make_unique<World>();
  return {.services = &services,
          .root = &test_root(),
          .trees = std::move(trees),
          .owner = ::geteuid(),
          .group = ::getegid(),
          .shared = shared};
}

std::pair<std::string, std::string> split_path(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return {path.substr(0, slash), path.substr(slash + 1)};
}

}  // namespace

World& world() { return *current; }
const DirectoryType& test_root() { return kRoot; }

std::shared_ptr<Box> World::box(const std::string& name) {
  const Guard guard(mutex);
  const auto found = boxes.find(name);
  return found == boxes.end() ? nullptr : found->second;
}
void World::reap(const std::string& name) {
  const Guard guard(mutex);
  boxes.erase(name);
}

void FakeServices::note_error(const Caller&, std::string_view path, const Error& error) {
  const Guard guard(mutex);
  errors.push_back(fmt::format("{} {} {}", errno_name(error.code), path, error.message));
}
Status FakeServices::may_change(const Caller&, const std::string& path) {
  if (closed.empty() || !is_below(path, closed)) return ok();
  return fail(EPERM, "{}: is closed", path);
}
std::optional<FileOwner> FakeServices::owner_of(std::string_view path) {
  for (const auto& [top, owner] : owners) {
    if (is_below(path, top)) return FileOwner{owner, owner};
  }
  return std::nullopt;
}
Status FakeServices::record_control(const Caller&, const std::string& path,
                                    std::string_view words) {
  if (const auto act = std::exchange(on_record, nullptr)) act();
  const Guard guard(mutex);
  records.push_back(fmt::format("{}: {}", path, words));
  return ok();
}

TestTree::TestTree(std::map<std::string, TreeStore*> trees, bool shared)
    : files(fresh_parts(services, std::move(trees), shared)) {}

Result<Found> TestTree::find(Request& request, const std::string& path) {
  Found at;
  at.node = files.root();
  for (const std::string_view name : text::split(path, '/')) {
    if (!name.empty()) at = TRY(at.node->lookup(request, std::string(name)));
  }
  return at;
}

Found TestTree::get(Request& request, const std::string& path) {
  auto found = find(request, path);
  INFO(path);
  REQUIRE(found);
  return *found;
}

std::shared_ptr<Handle> TestTree::open(Request& request, const std::string& path, int flags) {
  auto opened = get(request, path).node->open(request, flags);
  INFO(path);
  REQUIRE(opened);
  return opened->handle;
}

Result<std::string> TestTree::read(Request& request, Handle& handle, off_t offset,
                                   std::size_t count) {
  return TRY(wait_for<Bytes>(
                 [&](Completion<Bytes> done) { handle.read(request, offset, count, done); }))
      .text;
}

std::string TestTree::read(Request& request, const std::string& path) {
  const auto handle = open(request, path, O_RDONLY);
  auto text = read(request, *handle, 0);
  handle->release();
  REQUIRE(text);
  return *text;
}

int TestTree::write(Request& request, Handle& handle, off_t offset, std::string_view words) {
  const auto count = wait_for<std::size_t>(
      [&](Completion<std::size_t> done) { handle.write(request, offset, words, done); });
  if (count) CHECK(*count == words.size());
  return code(count);
}

int TestTree::save(Request& request, const std::string& path, std::string_view words) {
  const auto found = find(request, path);
  if (!found) return found.error().code;
  const auto opened = found->node->open(request, O_WRONLY | O_TRUNC);
  if (!opened) return opened.error().code;
  CHECK(opened->handle->flush(request));
  int failed = write(request, *opened->handle, 0, words);
  const Status flushed = opened->handle->flush(request);
  if (failed == 0) failed = code(flushed);
  opened->handle->release();
  return failed;
}

int TestTree::create(Request& request, const std::string& path, std::string_view words) {
  const auto [directory, name] = split_path(path);
  auto created = get(request, directory).node->create(request, name, O_WRONLY | O_EXCL, 0644);
  if (!created) return created.error().code;
  int failed = write(request, *created->opened.handle, 0, words);
  const Status flushed = created->opened.handle->flush(request);
  if (failed == 0) failed = code(flushed);
  created->opened.handle->release();
  return failed;
}

int TestTree::rename(Request& request, const std::string& from, const std::string& to) {
  const auto [directory, name] = split_path(from);
  const auto [new_directory, new_name] = split_path(to);
  const Found target = get(request, new_directory);
  return code(get(request, directory).node->rename(request, name, *target.node, new_name, 0));
}

std::vector<std::string> TestTree::names(Request& request, const std::string& path) {
  const auto opened = get(request, path).node->open_directory(request);
  REQUIRE(opened);
  std::vector<std::string> names;
  CHECK(opened->handle->read_directory(request, 0, [&](const DirectoryItem& item) {
    names.push_back(item.name);
    return true;
  }));
  return names;
}

}  // namespace agentfs::vfs
