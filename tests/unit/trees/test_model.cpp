// SPDX-License-Identifier: MIT
// Random operations, each done through a store and on a plain directory beside it: every errno,
// attribute and byte must be the same, at once and when the trees are compared whole.
#include <sys/xattr.h>

#include <map>
#include <random>
#include <sstream>

#include "tree_fixture.h"

namespace agentfs::test {
namespace {

using Path = std::vector<std::string>;

std::string shown(const struct stat& attributes) {
  const bool sized = !S_ISDIR(attributes.st_mode);  // a directory's size is the disk's affair
  return fmt::format("mode={:o} links={} owner={}:{} size={} mtime={}", attributes.st_mode,
                     attributes.st_nlink, attributes.st_uid, attributes.st_gid,
                     sized ? attributes.st_size : 0,
                     attributes.st_mtim.tv_sec < 1000 ? attributes.st_mtim.tv_sec : 0);
}

// All that a directory holds, as text.
void describe(int directory, const std::string& path, std::map<std::string, std::string>& into) {
  const std::string self = fmt::format("/proc/self/fd/{}", directory);
  for (const auto& entry : std::filesystem::directory_iterator(self)) {
    const std::string name = entry.path().filename();
    const std::string full = path + "/" + name;
    UniqueFd fd(::openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat attributes{};
    REQUIRE(::fstat(fd.get(), &attributes) == 0);
    std::string text = shown(attributes);
    const std::string link = fmt::format("/proc/self/fd/{}", fd.get());
    if (S_ISREG(attributes.st_mode) && is_root())
      text += fmt::format(" {}", must(file::read(link)));
    char target[PATH_MAX];
    const ssize_t length = ::readlinkat(fd.get(), "", target, sizeof(target));
    if (length > 0) text.append(target, static_cast<std::size_t>(length));
    into[full] = text;
    if (S_ISDIR(attributes.st_mode)) describe(fd.get(), full, into);
  }
}

std::map<std::string, std::string> describe(const std::string& directory) {
  std::map<std::string, std::string> entries;
  const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  describe(fd.get(), "", entries);
  return entries;
}

class Twins {
 public:
  Twins(unsigned seed, const TreeOptions& options)
      : random_(seed), store_(open_store(tree_.path(), options)), umask_(::umask(0)) {}
  ~Twins() { ::umask(umask_); }

  void step();
  void compare() {
    INFO(log_.str());
    REQUIRE(describe(tree_.path()) == describe(plain_.path()));
  }

 private:
  // A file held on both sides, with or without a name left.
  struct Held {
    TreeNodeRef node;
    UniqueFd plain;  // O_PATH
    std::string path() const { return fmt::format("/proc/self/fd/{}", plain.get()); }
  };
  struct Opened {
    TreeNodeRef node;
    std::unique_ptr<TreeFile> file;
    UniqueFd plain;
  };

  int pick(int below) { return std::uniform_int_distribution(0, below - 1)(random_); }
  std::string name() { return fmt::format("{:c}", 'a' + pick(5)); }
  Path parent();
  mode_t mode() { return static_cast<mode_t>(0700 | pick(010000)); }
  void same(const std::string& what, int store, int plain) {
    log_ << what << " = " << errno_name(plain) << "\n";
    INFO(log_.str());
    REQUIRE(errno_name(store) == errno_name(plain));
  }

  // The parents on both sides, when both have them.
  struct Place {
    TreeNodeRef node;
    UniqueFd plain;
    std::string name;
    std::string text;
  };
  std::optional<Place> place();
  std::optional<Held> find(const Place& at);

  void create(const Place& at);
  void make(const Place& at);
  void link(const Place& at);
  void remove(const Place& at);
  void rename(const Place& at);
  void hold(const Place& at);
  void open_held();
  void change_held();
  void xattr_held();
  void use_opened();

  std::mt19937 random_;
  SharedDirectory tree_;
  SharedDirectory plain_;
  std::unique_ptr<TreeStore> store_;
  std::vector<Held> held_;
  std::vector<Opened> opened_;
  std::ostringstream log_;
  const mode_t umask_;
};

Path Twins::parent() {
  Path path;
  for (int depth = pick(4); depth > 0; --depth) path.push_back(name());
  return path;
}

std::optional<Twins::Place> Twins::place() {
  Place at{store_->root(), UniqueFd(::open(plain_.path().c_str(), O_PATH)), name(), ""};
  for (const auto& part : parent()) {
    const auto found = store_->lookup(*at.node, part);
    UniqueFd next(::openat(at.plain.get(), part.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    same("lookup " + at.text + part, code_of(found), plain(next.get()));
    if (!found) return std::nullopt;
    at.node = found->node;
    at.plain = std::move(next);
    at.text += part + "/";
  }
  at.text += at.name;
  return at;
}

std::optional<Twins::Held> Twins::find(const Place& at) {
  const auto found = store_->lookup(*at.node, at.name);
  Held held{nullptr, UniqueFd(::openat(at.plain.get(), at.name.c_str(), O_PATH | O_NOFOLLOW))};
  same("lookup " + at.text, code_of(found), plain(held.plain.get()));
  if (!found) return std::nullopt;
  held.node = found->node;
  struct stat attributes{};
  REQUIRE(::fstat(held.plain.get(), &attributes) == 0);
  INFO(log_.str());
  REQUIRE(shown(found->attributes) == shown(attributes));
  return held;
}

void Twins::create(const Place& at) {
  constexpr int kFlags[] = {O_RDWR, O_WRONLY | O_EXCL, O_RDWR | O_TRUNC, O_RDONLY};
  const int flags = kFlags[pick(4)];
  const mode_t bits = mode();
  auto made = store_->create(*at.node, at.name, flags, bits, kMyself);
  UniqueFd fd;
  struct stat before{};
  const bool exists = ::fstatat(at.plain.get(), at.name.c_str(), &before, AT_SYMLINK_NOFOLLOW) == 0;
  int code = ENXIO;  // the one thing that the store does otherwise: it does not open fifos
  if (!exists || !S_ISFIFO(before.st_mode) || (flags & O_EXCL) != 0) {
    fd = UniqueFd(::openat(at.plain.get(), at.name.c_str(), flags | O_CREAT | O_NOFOLLOW, bits));
    code = plain(fd.get());
  }
  same(fmt::format("create {} {:o} {:o}", at.text, flags, bits), code_of(made), code);
  if (!made) return;
  if (opened_.size() == 5) opened_.erase(opened_.begin() + pick(5));
  opened_.push_back({made->entry.node, std::move(made->file), std::move(fd)});
}

void Twins::make(const Place& at) {
  const mode_t bits = mode();
  const char* const name = at.name.c_str();
  switch (pick(4)) {
    case 0:
      same("mknod " + at.text,
           code_of(store_->make_node(*at.node, at.name, S_IFIFO | bits, 0, kMyself)),
           plain(::mknodat(at.plain.get(), name, S_IFIFO | bits, 0)));
      break;
    case 1:
      same("symlink " + at.text, code_of(store_->make_link(*at.node, at.name, "../a/b", kMyself)),
           plain(::symlinkat("../a/b", at.plain.get(), name)));
      break;
    default:
      same("mkdir " + at.text, code_of(store_->make_directory(*at.node, at.name, bits, kMyself)),
           plain(::mkdirat(at.plain.get(), name, bits)));
  }
}

void Twins::link(const Place& at) {
  if (held_.empty()) return;
  const Held& held = held_[static_cast<std::size_t>(pick(static_cast<int>(held_.size())))];
  same("link " + at.text, code_of(store_->link(*held.node, *at.node, at.name, kMyself)),
       plain(::linkat(AT_FDCWD, held.path().c_str(), at.plain.get(), at.name.c_str(),
                      AT_SYMLINK_FOLLOW)));
}

void Twins::remove(const Place& at) {
  if (pick(2) == 0) {
    same("rmdir " + at.text, code_of(store_->remove_directory(*at.node, at.name, kMyself)),
         plain(::unlinkat(at.plain.get(), at.name.c_str(), AT_REMOVEDIR)));
  } else {
    same("unlink " + at.text, code_of(store_->unlink(*at.node, at.name, kMyself)),
         plain(::unlinkat(at.plain.get(), at.name.c_str(), 0)));
  }
}

void Twins::rename(const Place& at) {
  const auto to = place();
  if (!to) return;
  constexpr unsigned kFlags[] = {
      0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_NOREPLACE | RENAME_EXCHANGE, 1u << 20};
  const unsigned flags = kFlags[pick(6)];
  same(fmt::format("rename {} {} {}", at.text, to->text, flags),
       code_of(store_->rename(*at.node, at.name, *to->node, to->name, flags, kMyself)),
       plain(
           ::renameat2(at.plain.get(), at.name.c_str(), to->plain.get(), to->name.c_str(), flags)));
}

void Twins::hold(const Place& at) {
  auto found = find(at);
  if (!found) return;
  if (held_.size() == 8) held_.erase(held_.begin() + pick(8));
  held_.push_back(std::move(*found));
}

void Twins::open_held() {
  if (held_.empty()) return;
  const Held& held = held_[static_cast<std::size_t>(pick(static_cast<int>(held_.size())))];
  if (held.node->type() == S_IFIFO) return;
  constexpr int kFlags[] = {O_RDONLY, O_RDWR, O_WRONLY | O_TRUNC};
  const int flags = kFlags[pick(3)];
  auto opened = store_->open(*held.node, flags, kMyself);
  UniqueFd fd(::open(held.path().c_str(), flags));
  same("open a held file", code_of(opened), plain(fd.get()));
  if (!opened || held.node->type() != S_IFREG) return;
  if (opened_.size() == 5) opened_.erase(opened_.begin() + pick(5));
  opened_.push_back({held.node, std::move(*opened), std::move(fd)});
}

void Twins::change_held() {
  if (held_.empty()) return;
  const Held& held = held_[static_cast<std::size_t>(pick(static_cast<int>(held_.size())))];
  SetAttributes wanted;
  int expected = 0;
  switch (pick(3)) {
    case 0:
      wanted.which = SetAttributes::mode;
      wanted.values.st_mode = mode();
      expected = plain(::fchmodat(AT_FDCWD, held.path().c_str(), wanted.values.st_mode, 0));
      break;
    case 1:
      wanted.which = SetAttributes::size;
      wanted.values.st_size = pick(100) - 5;
      expected = plain(::truncate(held.path().c_str(), wanted.values.st_size));
      break;
    default: {
      wanted.which = SetAttributes::mtime;
      wanted.values.st_mtim = {pick(900), 5};
      const timespec times[2] = {{0, UTIME_OMIT}, wanted.values.st_mtim};
      expected = plain(::utimensat(AT_FDCWD, held.path().c_str(), times, 0));
    }
  }
  const auto changed = store_->set_attributes(*held.node, nullptr, wanted, kMyself);
  same(fmt::format("set {} of a held file", wanted.which), code_of(changed), expected);
  struct stat attributes{};
  REQUIRE(::fstat(held.plain.get(), &attributes) == 0);
  INFO(log_.str());
  if (changed) REQUIRE(shown(*changed) == shown(attributes));
  REQUIRE(shown(must(store_->attributes(*held.node))) == shown(attributes));
}

void Twins::xattr_held() {
  if (held_.empty()) return;
  const Held& held = held_[static_cast<std::size_t>(pick(static_cast<int>(held_.size())))];
  const std::string key = "user." + name();
  const std::string bytes(static_cast<std::size_t>(pick(50)), 'x');
  char buffer[64];
  same("getxattr", code_of(store_->get_xattr(*held.node, key)),
       plain(::getxattr(held.path().c_str(), key.c_str(), buffer, sizeof(buffer))));
  const int flags = pick(3);
  same("setxattr", code_of(store_->set_xattr(*held.node, key, bytes, flags, kMyself)),
       plain(::setxattr(held.path().c_str(), key.c_str(), bytes.data(), bytes.size(), flags)));
  const ssize_t length = ::listxattr(held.path().c_str(), buffer, sizeof(buffer));
  const auto names = store_->list_xattr(*held.node);
  same("listxattr", code_of(names), plain(length));
  if (names) REQUIRE(names->size() == static_cast<std::size_t>(length));
}

void Twins::use_opened() {
  if (opened_.empty()) return;
  Opened& opened = opened_[static_cast<std::size_t>(pick(static_cast<int>(opened_.size())))];
  const int fd = opened.file->descriptor();
  const std::string bytes(static_cast<std::size_t>(pick(40)), static_cast<char>('a' + pick(26)));
  const off_t offset = pick(60);
  same("pwrite", plain(::pwrite(fd, bytes.data(), bytes.size(), offset)),
       plain(::pwrite(opened.plain.get(), bytes.data(), bytes.size(), offset)));
  SetAttributes wanted;
  wanted.which = SetAttributes::size;
  wanted.values.st_size = pick(80);
  same("ftruncate",
       code_of(store_->set_attributes(*opened.node, opened.file.get(), wanted, kMyself)),
       plain(::ftruncate(opened.plain.get(), wanted.values.st_size)));
}

void Twins::step() {
  const auto at = place();
  if (!at) return;
  switch (pick(12)) {
    case 0:
    case 1:
      return create(*at);
    case 2:
    case 3:
      return make(*at);
    case 4:
      return link(*at);
    case 5:
      return remove(*at);
    case 6:
    case 7:
      return rename(*at);
    case 8:
      return hold(*at);
    case 9:
      return pick(2) == 0 ? open_held() : xattr_held();
    case 10:
      return change_held();
    default:
      return use_opened();
  }
}

}  // namespace

TEST_CASE("random operations do what they do on a plain directory", "[trees]") {
  const bool handles = GENERATE(true, false);
  const unsigned seed = GENERATE(range(1u, 25u));
  CAPTURE(handles, seed);
  Twins twins(seed, {.descriptors = 2, .file_handles = handles});
  for (int i = 0; i < 600; ++i) {
    twins.step();
    if (i % 100 == 99) twins.compare();
  }
}

}  // namespace agentfs::test
