// SPDX-License-Identifier: MIT
#include "support/tree_world.h"

#include <algorithm>
#include <array>

#include "backends/trees/trees.h"
#include "fs/vfs/wait_for.h"
#include "kernel/error_log.h"
#include "kernel/refused_writes.h"
#include "support/must.h"

namespace agentfs::test {
namespace {

constexpr std::array kVocabulary = {
    ENOENT,  ESRCH,  EINVAL,   EACCES,    EPERM,        ETIMEDOUT,    EAGAIN,   EBUSY, ESTALE,
    EDQUOT,  ENOSPC, EMSGSIZE, EEXIST,    ENOTEMPTY,    ENOTDIR,      EISDIR,   EROFS, EXDEV,
    ENOTSUP, EINTR,  EBADMSG,  EHOSTDOWN, EHOSTUNREACH, EKEYREJECTED, EREMOTEIO};

bool is_placeholder(const vfs::RowInfo& row) { return row.name.starts_with('<'); }

vfs::Key longer(vfs::Key key, std::string name) {
  key.push_back(std::move(name));
  return key;
}

}  // namespace

namespace {

// The rows of data trees, at the top and one below it.
std::vector<std::string> data_roots() {
  std::vector<std::string> all;
  for (const vfs::RowInfo& top : tree::root().rows()) {
    if (top.kind == vfs::Kind::data) all.push_back(below("/", top.name));
    if (top.kind != vfs::Kind::directory) continue;
    for (const vfs::RowInfo& row : top.child->rows()) {
      if (row.kind == vfs::Kind::data) all.push_back(below(below("/", top.name), row.name));
    }
  }
  return all;
}

}  // namespace

TreeWorld::TreeWorld() {
  make_tree({});
  make_objects();
}

void TreeWorld::make_tree(std::string times) {
  vfs::FileSystemParts parts;
  parts.times = std::move(times);
  for (const std::string& path : data_roots()) {
    const std::string directory = base_.state() + "/trees" + path;
    must(file::make_directories(directory));
    const auto& forests = kernel().parts().forests;
    if (const auto forest = forests.find(path); forest != forests.end()) {
      parts.trees[path] = forest->second;
      continue;
    }
    trees_[path] = must(open_tree_store(directory));
    parts.trees[path] = trees_[path].get();
  }
  services_ = std::make_unique<KernelServices>(kernel());
  parts.services = services_.get();
  parts.root = &tree::root();
  parts.past = kernel().parts().past;
  files_ = std::make_unique<vfs::FileSystem>(std::move(parts));
  kernel().set_namespace(files_.get());
  request_ = LocalCaller(base_.person());
}

void TreeWorld::restart() {
  std::string times = files_->times();
  kernel().set_namespace(nullptr);
  base_.finish_work();
  request_ = LocalCaller();
  files_.reset();
  services_.reset();
  must(base_.stop_and_start());
  make_tree(std::move(times));
}

TreeWorld::~TreeWorld() {
  kernel().set_namespace(nullptr);
  base_.finish_work();
  files_.reset();
}

void TreeWorld::make_objects() {
  init = base_.person().process;
  idle = base_.spawn({.name = "idle-agent", .workspace = "site"});
  busy = base_.spawn({.name = "busy-agent", .limits = "tokens=100000,usd=1.5", .task = "Go.\n"});
  dead = base_.spawn({.name = "dead-agent"});
  const auto commit = [&](std::string_view kind, json::Value data) {
    must(base_.commit(kind, std::move(data)));
  };
  commit(kind::kProcessContext, about(idle, {{"name", "rules.md"}, {"text", "Be brief.\n"}}));
  commit(kind::kProcessContext, about(dead, {{"name", "rules.md"}, {"text", "Be brief.\n"}}));
  commit(kind::kProcessExit, about(dead, {{"reason", "killed"}}));
  commit(kind::kRunBegin, about(busy));
  commit(kind::kModelBegin, about(busy));
  json::Array calls;
  for (const char* id : {"c1", "c2"}) {
    calls.push_back(json::Object{{"id", id}, {"name", "read"}, {"arguments", R"({"path":"a"})"}});
  }
  commit(kind::kModelEnd, about(busy, {{"text", "I look."}, {"calls", calls}, {"tokens_in", 10}}));
  commit(kind::kCallBegin, about(busy, {{"call", 1}}));
  commit(kind::kCallEnd, about(busy, {{"call", 1}, {"state", "done"}, {"result", "r"}}));
  commit(kind::kCallBegin, about(busy, {{"call", 2}}));
  must(kernel().refused_writes().keep(
      kernel().agent(busy),
      {.path = "/workspaces/site/a", .reason = "a: was changed", .theirs = "t\n", .base = "b\n"}));
}

std::string TreeWorld::path_of(ProcessId pid, std::string_view name) const {
  return fmt::format("/proc/{}/{}", pid.value, name);
}

std::vector<DirectoryAt> TreeWorld::directories() {
  std::vector<DirectoryAt> all{{"/", &tree::root()}};
  for (std::size_t i = 0; i < all.size(); ++i) {
    const DirectoryAt at = all[i];
    if (at.only != nullptr) continue;
    const vfs::ObjectRef object = must(at.type->find(request_.caller(), at.key));
    for (std::size_t row = 0; row < at.type->rows().size(); ++row) {
      const vfs::RowInfo& info = at.type->rows()[row];
      if (info.child == nullptr) continue;
      const std::string path = is_placeholder(info) ? at.path : below(at.path, info.name);
      if (path == "/workspaces") {
        all.push_back(
            {"/workspaces/site/.agentfs", info.child, {"/workspaces/site"}, nullptr, true});
      }
      if (info.kind == vfs::Kind::directory) all.push_back({path, info.child, at.key});
      if (info.kind != vfs::Kind::collection) continue;
      if (!is_placeholder(info)) all.push_back({path, at.type, at.key, &info});
      for (const std::string& name : must(at.type->list(row, object, request_.caller()))) {
        all.push_back({below(path, name), info.child, longer(at.key, name)});
      }
    }
  }
  return all;
}

std::vector<RowAt> TreeWorld::rows() {
  std::vector<RowAt> all;
  for (const DirectoryAt& at : directories()) {
    if (at.only != nullptr) continue;
    for (std::size_t row = 0; row < at.type->rows().size(); ++row) {
      const vfs::RowInfo& info = at.type->rows()[row];
      if (!is_placeholder(info)) all.push_back({below(at.path, info.name), at, row});
    }
  }
  return all;
}

std::vector<ListedAt> TreeWorld::listing() {
  std::vector<ListedAt> all;
  std::vector<std::string> pending{"/"};
  while (!pending.empty()) {
    const std::string directory = std::move(pending.back());
    pending.pop_back();
    const vfs::NodeRef node = get(directory);
    for (vfs::DirectoryItem& item : items(*node)) {
      ListedAt one{below(directory, item.name), item, must(node->lookup(request_, item.name))};
      const bool is_tree = trees_.contains(one.path);
      if (item.type == S_IFDIR && !is_tree) pending.push_back(one.path);
      all.push_back(std::move(one));
    }
  }
  return all;
}

Result<vfs::Found> TreeWorld::find(const std::string& path) {
  vfs::Found at;
  at.node = files_->root();
  at.attributes = TRY(at.node->attributes(request_)).attributes;
  for (const std::string_view name : text::split(path, '/')) {
    if (!name.empty()) at = TRY(at.node->lookup(request_, std::string(name)));
  }
  return at;
}

vfs::NodeRef TreeWorld::get(const std::string& path) { return must(find(path)).node; }

std::vector<vfs::DirectoryItem> TreeWorld::items(vfs::Node& directory) {
  std::vector<vfs::DirectoryItem> all;
  const auto handle = must(directory.open_directory(request_)).handle;
  must(handle->read_directory(request_, 0, [&](const vfs::DirectoryItem& item) {
    if (item.name != "." && item.name != "..") all.push_back(item);
    return true;
  }));
  handle->release();
  return all;
}

std::string TreeWorld::read(const std::string& path) {
  const auto handle = must(get(path)->open(request_, O_RDONLY)).handle;
  std::string text = read_all(request_, *handle);
  handle->release();
  return text;
}

int TreeWorld::write(const std::string& path, std::string_view text, int flags) {
  const auto found = find(path);
  if (!found) return found.error().code;
  const auto opened = found->node->open(request_, flags);
  if (!opened) return opened.error().code;
  int code = write_once(request_, *opened->handle, text);
  const Status flushed = vfs::wait_for<Nothing>(
      [&](Completion<Nothing> done) { opened->handle->start_flush(request_, done); });
  if (code == 0 && !flushed) code = flushed.error().code;
  opened->handle->release();
  return code;
}

std::uint64_t TreeWorld::head() { return kernel().journal().head().sequence.value; }

std::vector<std::string> TreeWorld::errors() {
  std::vector<std::string> all;
  const std::string text = kernel().errors().text(request_.caller().process);
  for (const std::string_view line : text::lines(text)) all.emplace_back(line);
  return all;
}

std::string TreeWorld::state_text() {
  std::string all;
  for (const RowAt& row : rows()) {
    if (row.info().kind != vfs::Kind::value && row.info().kind != vfs::Kind::setting) continue;
    const bool tells_of_failures = row.info().name == "errors" || row.info().name == "metrics";
    if (!tells_of_failures) all += fmt::format("{}: {}", row.path, read(row.path));
  }
  return all;
}

std::string read_all(vfs::Request& request, vfs::Handle& handle, std::size_t piece) {
  std::string text;
  while (true) {
    const vfs::Bytes bytes = must(vfs::wait_for<vfs::Bytes>([&](Completion<vfs::Bytes> done) {
      handle.read(request, static_cast<off_t>(text.size()), piece, done);
    }));
    if (bytes.text.empty()) return text;
    text += bytes.text;
  }
}

int write_once(vfs::Request& request, vfs::Handle& handle, std::string_view text) {
  const auto count = vfs::wait_for<std::size_t>(
      [&](Completion<std::size_t> done) { handle.write(request, 0, text, done); });
  return count ? 0 : count.error().code;
}

bool is_in_vocabulary(int code) {
  return std::ranges::find(kVocabulary, code) != kVocabulary.end();
}

bool is_sentence(std::string_view doc) {
  return doc.size() > 3 && doc.back() == '.' && !(doc.front() >= 'a' && doc.front() <= 'z') &&
         doc == text::trim(doc) && !doc.contains('\n');
}

bool is_written(vfs::Kind kind) {
  return kind == vfs::Kind::setting || kind == vfs::Kind::control || kind == vfs::Kind::reply ||
         kind == vfs::Kind::message;
}

bool is_text(vfs::Kind kind) { return kind == vfs::Kind::value || is_written(kind); }

std::string below(const std::string& directory, std::string_view name) {
  return fmt::format("{}/{}", directory == "/" ? "" : directory, name);
}

std::string parent_of(const std::string& path) {
  return path.substr(0, std::max<std::size_t>(path.rfind('/'), 1));
}

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace agentfs::test
