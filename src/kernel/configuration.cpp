// SPDX-License-Identifier: MIT
#include "kernel/configuration.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/clock.h"
#include "base/damage.h"
#include "base/directory.h"
#include "base/file.h"
#include "base/log.h"
#include "base/nanoseconds.h"
#include "base/text.h"
#include "kernel/document.h"

namespace agentfs {
namespace {

constexpr std::size_t kMostBytes = std::size_t{1} << 20;

// A path below /etc, as it is given and as it is: no "..", no empty parts, nothing hidden above.
Status check_path(const std::string& path) {
  const bool is_whole = !path.empty() && path.find('\0') == std::string::npos;
  const auto parts = text::split(path, '/');
  const bool is_plain = std::ranges::all_of(
      parts, [](std::string_view part) { return !part.empty() && part != "." && part != ".."; });
  if (is_whole && is_plain) return ok();
  return fail(EINVAL, "/etc: not a document's path ({}); one such as models/x.toml is",
              text::shown(path));
}

// "models/x.toml" -> "x", "profiles/x/profile.toml" -> "x".
std::string name_in(std::string_view path) {
  const auto parts = text::split(path, '/');
  std::string_view name = parts.size() > 1 ? parts[1] : parts[0];
  if (parts.size() == 2 && name.ends_with(".toml")) name.remove_suffix(5);
  return std::string(name);
}

std::optional<std::int64_t> change_time(const std::string& host) {
  struct stat attributes{};
  if (::stat(host.c_str(), &attributes) != 0) return std::nullopt;
  return nanoseconds_of(attributes.st_mtim);
}

// The clock that the disk reads ticks slowly: two texts in a row would be of one moment.
void set_change_time(const std::string& host) {
  const timespec times[2] = {{0, UTIME_OMIT}, time_of(SystemClock().wall())};
  if (::utimensat(AT_FDCWD, host.c_str(), times, 0) != 0) {
    log::warning("{}", fail_errno(host).error().message);
  }
}

// A sentence where something else has the name of a document, or of a directory of such.
std::string wrong_kind(const std::filesystem::directory_entry& entry, const std::string& path) {
  std::error_code ignored;
  const auto type = entry.symlink_status(ignored).type();
  const bool is_file = entry.is_regular_file(ignored);
  if (type != std::filesystem::file_type::directory && check_directory_name(path)) {
    return fmt::format("/etc/{}: no directory is there; removing what is would do",
                       text::shown(path));
  }
  if (is_file || !check_document_name(path)) return "";
  return fmt::format("/etc/{}: no regular file is there; removing what is would do",
                     text::shown(path));
}

}  // namespace

struct Configuration::Parts {
  std::string directory;
  Mutex<Rank::store> saving;  // one writer at a time: disk and memory change together
  mutable Mutex<Rank::queue> mutex;
  std::map<std::string, Document> documents GUARDED_BY(mutex);
  std::map<std::string, json::Value> values GUARDED_BY(mutex);  // of those that are settings
  std::map<std::string, std::string> problems GUARDED_BY(mutex);
  std::optional<ModelSettings> found_default GUARDED_BY(mutex);

  void take(const std::string& path, Document document) EXCLUDES(mutex);
  void forget(const std::string& path) EXCLUDES(mutex);
  std::vector<std::string> names_of(std::string_view kind) const REQUIRES(mutex);
  std::vector<std::string> models() const REQUIRES(mutex);
  std::vector<std::string> profiles() const REQUIRES(mutex);
  const json::Value* find(const std::string& path) const REQUIRES(mutex) {
    const auto found = values.find(path);
    return found == values.end() ? nullptr : &found->second;
  }
};

Configuration::Configuration() : parts_(std::make_unique<Parts>()) {}
Configuration::~Configuration() = default;

Result<std::unique_ptr<Configuration>> Configuration::open(const std::string& directory) {
  std::unique_ptr<Configuration> configuration(new Configuration);
  configuration->parts_->directory = directory;
  TRY(file::make_directories(directory));
  std::error_code error;
  std::filesystem::recursive_directory_iterator entries(directory, error);
  for (; !error && entries != std::filesystem::recursive_directory_iterator();
       entries.increment(error)) {
    const std::string path = entries->path().string().substr(directory.size() + 1);
    const std::string host = entries->path().string();
    if (entries->path().filename().native().starts_with(kDamagedName)) {
      entries.disable_recursion_pending();
      continue;
    }
    const std::string problem = wrong_kind(*entries, path);
    std::error_code ignored;
    if (problem.empty() && !entries->is_regular_file(ignored)) continue;
    if (file::is_unfinished(host)) {
      ::unlink(host.c_str());
      continue;
    }
    Result<std::string> text = problem.empty() ? file::read(host) : fail(EINVAL, "{}", problem);
    if (text) {
      configuration->parts_->take(path, {std::move(*text), change_time(host)});
    } else {
      Lock lock(configuration->parts_->mutex);
      configuration->parts_->problems[path] = text.error().message;
    }
  }
  if (error) return fail(error.value(), "{}: {}", directory, error.message());
  for (const std::string& problem : configuration->problems()) log::warning("{}", problem);
  return configuration;
}

void Configuration::Parts::take(const std::string& path, Document document) {
  Result<json::Value> parsed =
      document_kind(path).empty() ? json::Value() : parse_document(path, document.text);
  Lock lock(mutex);
  problems.erase(path);
  if (!parsed) {
    problems[path] = parsed.error().message;
    values.erase(path);
  } else if (!parsed->is_null()) {
    values[path] = std::move(*parsed);
  }
  documents[path] = std::move(document);
}

void Configuration::Parts::forget(const std::string& path) {
  Lock lock(mutex);
  documents.erase(path);
  values.erase(path);
  problems.erase(path);
}

Status Configuration::check(const std::string& path, std::string_view text) const {
  TRY(check_path(path));
  if (Status named = check_document_name(path); !named) {
    return std::unexpected(Error{EBADMSG, std::move(named).error().message});
  }
  if (text.size() > kMostBytes) {
    return fail(EMSGSIZE, "{}: {} bytes are too many; a document has at most {}", path, text.size(),
                kMostBytes);
  }
  if (!document_kind(path).empty()) {
    TRY(parse_document(path, text));
    return ok();
  }
  if (text::is_utf8(text) && text.find('\0') == std::string_view::npos) return ok();
  return fail(EBADMSG,
              "{}: is no text ({} bytes that are not all UTF-8, or a NUL); text in UTF-8 would do",
              path, text.size());
}

Status Configuration::save(const std::string& path, std::string_view text) {
  TRY(check(path, text));
  Lock lock(parts_->saving);
  const std::string host = parts_->directory + "/" + path;
  TRY(file::make_directories(std::filesystem::path(host).parent_path().string()));
  const Result<std::string> old = file::read(host);
  if (!old || *old != text) {
    TRY(file::replace(host, text));
    set_change_time(host);
  }
  parts_->take(path, {std::string(text), change_time(host)});
  return ok();
}

Status Configuration::remove(const std::string& path) {
  TRY(check_path(path));
  Lock lock(parts_->saving);
  const std::string host = parts_->directory + "/" + path;
  if (::unlink(host.c_str()) != 0) return fail_errno("/etc/" + path);
  parts_->forget(path);
  return ok();
}

std::string Configuration::doubt(const std::string& path) const {
  Lock lock(parts_->mutex);
  const json::Value* values = parts_->find(path);
  if (values == nullptr || document_kind(path) != "models") return {};
  const std::vector<std::string> names = parts_->models();
  for (const std::string& name : model_settings(name_in(path), *values).fallback) {
    if (std::ranges::find(names, name) != names.end()) continue;
    return fmt::format(
        "/etc/{}: saved, but no model is named as its fallback is ({}){}; there are {}", path,
        text::shown(name), text::did_you_mean(name, names), text::join(names, ", "));
  }
  return {};
}

Result<std::string> Configuration::text(const std::string& path) const {
  return TRY(document(path)).text;
}

Result<Document> Configuration::document(const std::string& path) const {
  Lock lock(parts_->mutex);
  const auto found = parts_->documents.find(path);
  if (found != parts_->documents.end()) return found->second;
  return fail(ENOENT, "/etc/{}: no such document", path);
}

std::vector<std::string> Configuration::list(const std::string& directory) const {
  std::vector<std::string> names;
  Lock lock(parts_->mutex);
  for (const auto& [path, document] : parts_->documents) {
    if (!text::is_below(path, directory)) continue;
    const std::string rest = path.substr(directory.empty() ? 0 : directory.size() + 1);
    const auto slash = rest.find('/');
    std::string name = slash == std::string::npos ? rest : rest.substr(0, slash + 1);
    if (std::ranges::find(names, name) == names.end()) names.push_back(std::move(name));
  }
  // A directory is there for its own sake: one without documents can be saved into.
  const auto entries = entries_in(fmt::format("{}/{}", parts_->directory, directory));
  for (const std::string& one : directories_in(entries)) {
    std::string name = one + "/";
    if (std::ranges::find(names, name) == names.end()) names.push_back(std::move(name));
  }
  std::ranges::sort(names);
  return names;
}

const std::string& Configuration::directory() const { return parts_->directory; }

std::vector<std::string> Configuration::problems() const {
  std::vector<std::string> all;
  Lock lock(parts_->mutex);
  for (const auto& [path, problem] : parts_->problems) all.push_back(problem);
  return all;
}

std::vector<std::string> Configuration::Parts::names_of(std::string_view kind) const {
  std::vector<std::string> names;
  for (const auto& [path, value] : values) {
    if (document_kind(path) == kind) names.push_back(name_in(path));
  }
  return names;
}

std::vector<std::string> Configuration::Parts::models() const {
  std::vector<std::string> names = names_of("models");
  if (found_default && std::ranges::find(names, "default") == names.end()) {
    names.emplace_back("default");
  }
  std::ranges::sort(names);
  return names;
}

std::vector<std::string> Configuration::Parts::profiles() const {
  std::vector<std::string> names = names_of("profiles");
  names.emplace_back("default");
  std::ranges::sort(names);
  names.erase(std::ranges::unique(names).begin(), names.end());
  return names;
}

std::vector<std::string> Configuration::models() const {
  Lock lock(parts_->mutex);
  return parts_->models();
}

Result<ModelSettings> Configuration::model(const std::string& name) const {
  Lock lock(parts_->mutex);
  if (const json::Value* values = parts_->find("models/" + name + ".toml")) {
    return model_settings(name, *values);
  }
  if (name == "default" && parts_->found_default) return *parts_->found_default;
  const std::vector<std::string> names = parts_->models();
  return fail(ENOENT, "model {}: no such model{}; {}", text::shown(name),
              text::did_you_mean(name, names),
              names.empty() ? "write /etc/models/" + name + ".toml to make one"
                            : "there are " + text::join(names, ", "));
}

void Configuration::set_found_default(ModelSettings settings) {
  settings.name = "default";
  Lock lock(parts_->mutex);
  parts_->found_default = std::move(settings);
}

std::vector<std::string> Configuration::profiles() const {
  Lock lock(parts_->mutex);
  return parts_->profiles();
}

Result<ProfileSettings> Configuration::profile(const std::string& name) const {
  Lock lock(parts_->mutex);
  const std::string path = "profiles/" + name + "/profile.toml";
  if (const json::Value* values = parts_->find(path)) return profile_settings(*values);
  if (name == "default") return ProfileSettings{};
  if (const auto problem = parts_->problems.find(path); problem != parts_->problems.end()) {
    return fail(ENOENT, "profile {}: its document cannot be read: {}", text::shown(name),
                problem->second);
  }
  const std::vector<std::string> names = parts_->profiles();
  const bool is_directory = std::ranges::find(names, name) == names.end() && !name.empty() &&
                            check_directory_name("profiles/" + name).has_value() &&
                            file::exists(parts_->directory + "/profiles/" + name);
  if (is_directory) {
    return fail(ENOENT, "profile {}: has no profile.toml; write /etc/{}, which may be empty",
                text::shown(name), path);
  }
  return fail(ENOENT, "profile {}: no such profile{}; there are {}", text::shown(name),
              text::did_you_mean(name, names), text::join(names, ", "));
}

DeviceSettings Configuration::device(const std::string& name) const {
  Lock lock(parts_->mutex);
  const json::Value* values = parts_->find("devices/" + name + ".toml");
  return values == nullptr ? DeviceSettings{} : device_settings(*values);
}

HistorySettings Configuration::history() const {
  Lock lock(parts_->mutex);
  const json::Value* values = parts_->find("history.toml");
  return values == nullptr ? HistorySettings{} : history_settings(*values);
}

KernelSettings Configuration::kernel() const {
  Lock lock(parts_->mutex);
  const json::Value* values = parts_->find("agentfs.toml");
  return values == nullptr ? KernelSettings{} : kernel_settings(*values);
}

}  // namespace agentfs
