// SPDX-License-Identifier: MIT
#include "agents/sources.h"

#include <sys/stat.h>

#include <algorithm>
#include <functional>

#include "base/text.h"
#include "kernel/configuration.h"

namespace agentfs::agents {
namespace {

// Collects sources one after the other against what is left of the budget.
class Walk {
 public:
  Walk(Kernel& kernel, const Process& process, std::int64_t budget, Reader reader)
      : kernel_(kernel),
        process_(process),
        caller_(kernel.agent(process.pid)),
        reader_(reader),
        left_(budget) {}

  void profile() {
    const std::string directory = "profiles/" + process_.profile + "/context.d";
    std::vector<std::string> names = documents(kernel_.configuration().list(directory));
    if (names.empty()) absent("/etc/" + directory);
    for (const std::string& name : names) {
      const std::string path = directory + "/" + name;
      consider("/etc/" + path, kernel_.configuration().text(path));
    }
  }

  void directory(const std::string& path) {
    Result<std::vector<NamespaceEntry>> entries = kernel_.paths().list(caller_, path);
    if (!entries) return missing(path, entries.error());
    std::vector<std::string> names;
    for (const NamespaceEntry& entry : *entries) {
      if (entry.type != S_IFDIR) names.push_back(entry.name);
    }
    names = documents(std::move(names));
    if (names.empty()) absent(path);
    for (const std::string& name : names) file(path + "/" + name);
  }

  void file(const std::string& path) {
    Result<struct stat> attributes = kernel_.paths().attributes(caller_, path);
    if (!attributes) return missing(path, attributes.error());
    const auto size = static_cast<std::uint64_t>(std::max<off_t>(attributes->st_size, 0));
    if (estimated_tokens(size) > left_) return over(path, size);
    consider(path, reader_ == Reader::model ? kernel_.paths().read(caller_, path, 0, 0)
                                            : kernel_.paths().peek(caller_, path));
  }

  void consider(const std::string& path, const Result<std::string>& text) {
    if (!text) return missing(path, text.error());
    const std::int64_t tokens = estimated_tokens(text->size());
    if (!text::is_utf8(*text)) return drop(path, text->size(), "dropped: not UTF-8");
    for (const Source& other : found_) {
      if (!text->empty() && other.kept && other.text == *text) {
        return drop(path, text->size(), "dropped: the same text as " + other.path);
      }
    }
    if (tokens > left_) return over(path, text->size());
    left_ -= tokens;
    found_.push_back({path, text->size(), tokens, true, "kept", *text});
  }

  std::vector<Source> take() { return std::move(found_); }

 private:
  static std::vector<std::string> documents(std::vector<std::string> names) {
    std::erase_if(names, [](const std::string& name) { return !name.ends_with(".md"); });
    std::ranges::sort(names);
    return names;
  }
  void drop(const std::string& path, std::uint64_t bytes, std::string verdict) {
    found_.push_back({path, bytes, estimated_tokens(bytes), false, std::move(verdict), {}});
  }
  void absent(const std::string& path) { drop(path, 0, "absent"); }
  void missing(const std::string& path, const Error& error) {
    if (error.code == ENOENT || error.code == ENOTDIR) return absent(path);
    drop(path, 0, "dropped: unreadable: " + error.message);
  }
  void over(const std::string& path, std::uint64_t bytes) {
    drop(path, bytes,
         fmt::format("dropped: over the budget (needs {}, {} left)", estimated_tokens(bytes),
                     std::max<std::int64_t>(left_, 0)));
  }

  Kernel& kernel_;
  const Process& process_;
  const Caller caller_;
  const Reader reader_;
  std::int64_t left_;
  std::vector<Source> found_;
};

}  // namespace

std::int64_t estimated_tokens(std::uint64_t bytes) {
  return static_cast<std::int64_t>((bytes + 3) / 4);
}

std::vector<Source> gather_sources(Kernel& kernel, const Process& process, std::int64_t budget,
                                   Reader reader) {
  Walk walk(kernel, process, budget, reader);
  walk.profile();
  walk.directory("/home/" + process.user + "/context.d");
  if (!process.workspace.empty()) {
    const std::string workspace = "/workspaces/" + process.workspace;
    walk.file(workspace + "/AGENTS.md");
    walk.file(workspace + "/CLAUDE.md");
    walk.directory(workspace + "/.agentfs/context.d");
  }
  for (const auto& [name, text] : process.context) {
    walk.consider(fmt::format("/proc/{}/context.d/{}", process.pid.value, name), text);
  }
  return walk.take();
}

}  // namespace agentfs::agents
