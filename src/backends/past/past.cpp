// SPDX-License-Identifier: MIT
#include "backends/past/past.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "backends/past/past_names.h"
#include "backends/past/path_notes.h"
#include "base/blocks.h"
#include "base/copy.h"
#include "base/directory.h"
#include "base/mutex.h"
#include "base/open_regular.h"
#include "base/owner_rights.h"
#include "base/text.h"

namespace agentfs {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kFolder = 1'000;  // numbers in one
constexpr std::uint64_t kUnderWay = 10'000;

// What says that the inode cannot have one more name here.
bool cannot_link(int code) {
  return code == EXDEV || code == EMLINK || code == EPERM || code == EACCES || code == ENOENT;
}

class PastFiles final : public PastStore {
 public:
  PastFiles(std::string directory, const Lender* lender)
      : directory_(std::move(directory)), lender_(lender), notes_(directory_ + "/paths.jsonl") {}

  Status open();
  std::uint64_t next() override { return last_.fetch_add(1) + 1; }
  void reserve(std::uint64_t last) override;
  Result<KeptFile> keep_link(int file, const std::string& path) override;
  Result<std::uint64_t> keep_moved(const std::string& path, const MoveThere& move) override;
  Result<std::uint64_t> keep_copy(int file, const std::string& path) override;
  Status separate(const PastName& name) override;
  Result<UniqueFd> open(const PastName& name) const override;
  Result<Xattrs> xattrs(const PastName& name) const override;
  Status sync(std::span<const PastName> names) const override;
  Status sync_all() const override;
  Result<struct stat> attributes(const PastName& name) const override;
  Status note_moved(const PastName& name, const std::string& path) override;
  Status rename(const PastName& name, const std::string& path) override;
  Status drop(const PastName& name) override;
  Result<std::vector<PastName>> list() const override;
  Result<struct statvfs> statistics(bool afresh) const override;

 private:
  std::string folder_of(std::uint64_t number) const {
    return fmt::format("{}/{}", directory_, number / kFolder);
  }
  std::string path_of(const PastName& name) const {
    return fmt::format("{}/{}", folder_of(name.number), file_name(name));
  }
  // The directory that a content of this number is put into, made where there is none.
  Result<std::shared_ptr<const UniqueFd>> ensure_folder(std::uint64_t number);
  // Puts something at its place by `put`, which gets that directory and a name.
  Status place(const PastName& name, const std::function<int(int, const char*)>& put);

  bool lends(int file) const { return lender_ != nullptr && lender_->lends(file); }

  std::string temporary_of(const PastName& name) const {
    return fmt::format("{}/new/{}", directory_, name.number);
  }
  // The name of what is about to be kept. One that cannot carry its path is kept all the same
  // where there is no room to note that.
  PastName next_name(const std::string& path);
  Status clear_temporaries() const;
  // What has a number from `under_way` on may not be there yet.
  Status open_notes(std::uint64_t under_way);
  // A copy of the file there, whole, or nothing.
  Status copy_aside(int file, const PastName& name) const;
  // Puts a copy at the place of the name, over what is there.
  Status put_copy(int file, const PastName& name);
  // Gives it to `use`, open for reading. An ordinary user's daemon reads no attributes of what its
  // mode closes to it, not even by an open file: it is open to its owner for as long as this lasts.
  Status use_open(const PastName& name, const std::function<Status(UniqueFd)>& use) const;

  const std::string directory_;
  const Lender* const lender_;
  PathNotes notes_;
  UniqueFd rights_;  // the room of OwnerRights
  std::atomic<std::uint64_t> last_ = 0;
  mutable Mutex<Rank::forest_nodes> opening_;  // a closed content
  mutable Mutex<Rank::store> mutex_;
  mutable struct statvfs room_ GUARDED_BY(mutex_) {};
  mutable std::chrono::steady_clock::time_point looked_ GUARDED_BY(mutex_){};
  std::uint64_t folder_number_ GUARDED_BY(mutex_) = 0;
  std::shared_ptr<const UniqueFd> folder_ GUARDED_BY(mutex_);  // of that number, the last one used
};

Status PastFiles::open() {
  TRY(file::make_directories(directory_, 0700));
  const std::string rights = directory_ + "/rights";
  TRY(file::make_directories(rights, 0700));
  rights_ = UniqueFd(::open(rights.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!rights_) return fail_errno(rights);
  TRY(mend_rights(rights_.get()));
  TRY(clear_temporaries());
  return open_notes(~std::uint64_t{0});
}

// Nothing else: what has come here from elsewhere is nobody's to remove.
Status PastFiles::clear_temporaries() const {
  const std::string place = directory_ + "/new";
  TRY(file::make_directories(place, 0700));
  for (const HostEntry& entry : TRY(list_directory(place))) {
    if (!text::number<std::uint64_t>(entry.name)) continue;
    TRY(file::remove(fmt::format("{}/{}", place, entry.name)));
  }
  return ok();
}

Status PastFiles::open_notes(std::uint64_t under_way) {
  std::set<std::uint64_t> numbers;
  for (const PastName& name : TRY(list())) {
    reserve(name.number);
    numbers.insert(name.number);
  }
  notes_.open([&](std::uint64_t one) { return one >= under_way || numbers.contains(one); });
  return ok();
}

PastName PastFiles::next_name(const std::string& path) {
  PastName name{next(), path};
  if (fits_a_name(path)) return name;
  const Status noted = notes_.add(name.number, {.path = path});
  if (noted && notes_.is_large()) (void)open_notes(name.number - std::min(name.number, kUnderWay));
  return name;
}

void PastFiles::reserve(std::uint64_t last) {
  std::uint64_t now = last_.load();
  while (now < last && !last_.compare_exchange_weak(now, last)) {
  }
}

Result<std::shared_ptr<const UniqueFd>> PastFiles::ensure_folder(std::uint64_t number) {
  const std::uint64_t folder = number / kFolder;
  {
    const Lock lock(mutex_);
    if (folder_ != nullptr && folder_number_ == folder) return folder_;
  }
  const std::string path = folder_of(number);
  TRY(file::make_directories(path, 0700));
  auto opened = std::make_shared<const UniqueFd>(
      ::open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!*opened) return fail_errno(path);
  const Lock lock(mutex_);
  folder_number_ = folder;
  folder_ = opened;
  return opened;
}

Status PastFiles::place(const PastName& name, const std::function<int(int, const char*)>& put) {
  const std::string last = file_name(name);
  auto folder = TRY(ensure_folder(name.number));
  if (put(folder->get(), last.c_str()) == 0) return ok();
  const int code = errno;
  if (code != ENOENT || file::exists(folder_of(name.number))) {
    return fail_errno(code, path_of(name));
  }
  {
    const Lock lock(mutex_);
    if (folder_ == folder) folder_.reset();
  }
  folder = TRY(ensure_folder(name.number));
  return put(folder->get(), last.c_str()) == 0 ? ok() : fail_errno(path_of(name));
}

// By the descriptor itself; an ordinary user may need to go by its path.
int link_to(int file, int folder, const char* name) {
  if (::linkat(file, "", folder, name, AT_EMPTY_PATH) == 0) return 0;
  if (errno != ENOENT && errno != EPERM) return -1;
  const std::string source = fmt::format("/proc/self/fd/{}", file);
  return ::linkat(AT_FDCWD, source.c_str(), folder, name, AT_SYMLINK_FOLLOW);
}

Result<KeptFile> PastFiles::keep_link(int file, const std::string& path) {
  struct stat now{};
  const bool may_be_lent = ::fstat(file, &now) == 0 && may_be_hole(now);
  if (may_be_lent && lends(file)) {  // are its bytes still to be had?
    const auto bytes = lender_->open(file);
    if (!bytes && bytes.error().code != EACCES) return std::unexpected(bytes.error());
  }
  const PastName name = next_name(path);
  const Status linked =
      place(name, [&](int folder, const char* target) { return link_to(file, folder, target); });
  if (linked) return KeptFile{.number = name.number, .is_link = true};
  if (!cannot_link(linked.error().code)) return std::unexpected(linked.error());
  return KeptFile{.number = TRY(keep_copy(file, path))};
}

Result<std::uint64_t> PastFiles::keep_moved(const std::string& path, const MoveThere& move) {
  const PastName name = next_name(path);
  TRY(place(name, [&](int folder, const char* target) {
    const Status moved = move(folder, target);
    if (!moved) errno = moved.error().code;
    return moved ? 0 : -1;
  }));
  return name.number;
}

Status PastFiles::copy_aside(int file, const PastName& name) const {
  const std::string source = fmt::format("/proc/self/fd/{}", file);
  UniqueFd from(::open(source.c_str(), O_RDONLY | O_NOATIME | O_CLOEXEC));
  if (!from) from = UniqueFd(::open(source.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat attributes{};
  if (!from || ::fstat(from.get(), &attributes) != 0) return fail_errno(name.path);
  std::optional<struct stat> lent;
  if (lends(from.get())) {
    Lender::Lent found = TRY(lender_->open(from.get()));
    from = std::move(found.file);
    lent = found.attributes;
    attributes.st_blocks = lent->st_blocks;
  }
  const std::string temporary = temporary_of(name);
  const UniqueFd to(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!to) return fail_errno(temporary);
  const auto copied = copy_bytes(from.get(), to.get(), attributes);
  Status made = copied ? ok() : std::unexpected(copied.error());
  struct stat now{};
  const bool is_mixed = lent && (::fstat(from.get(), &now) != 0 || !is_as_it_was(*lent, now));
  if (made && is_mixed) made = fail(EBUSY, "{}: changed while it was copied", name.path);
  if (made) {
    // A disk with room for the bytes alone keeps those.
    static_cast<void>(copy_attributes(from.get(), to.get(), attributes));
  } else {
    ::unlink(temporary.c_str());
  }
  return made;
}

Status PastFiles::put_copy(int file, const PastName& name) {
  TRY(copy_aside(file, name));
  const std::string temporary = temporary_of(name);
  Status put = place(name, [&](int folder, const char* target) {
    return ::renameat(AT_FDCWD, temporary.c_str(), folder, target);
  });
  if (!put) ::unlink(temporary.c_str());
  return put;
}

Result<std::uint64_t> PastFiles::keep_copy(int file, const std::string& path) {
  const PastName name = next_name(path);
  TRY(put_copy(file, name));
  return name.number;
}

Status PastFiles::separate(const PastName& name) {
  const std::string path = path_of(name);
  const UniqueFd file(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!file && errno == ENOENT) return ok();
  if (!file) return fail_errno(path);
  return put_copy(file.get(), name);
}

Status PastFiles::use_open(const PastName& name, const std::function<Status(UniqueFd)>& use) const {
  const std::string path = path_of(name);
  auto fd = file::open_regular(path);
  if (fd) return use(std::move(*fd));
  if (fd.error().code != EACCES) return std::unexpected(fd.error());
  const Lock alone(opening_);
  const UniqueFd file(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!file) return fail_errno(path);
  const OwnerRights lent = TRY(OwnerRights::lend(file.get(), S_IRUSR, rights_.get()));
  return use(TRY(file::open_regular(path)));
}

Result<UniqueFd> PastFiles::open(const PastName& name) const {
  UniqueFd found;
  TRY(use_open(name, [&](UniqueFd fd) -> Status {
    found = lends(fd.get()) ? std::move(TRY(lender_->open(fd.get())).file) : std::move(fd);
    return ok();
  }));
  return found;
}

Result<Xattrs> PastFiles::xattrs(const PastName& name) const {
  Xattrs all;
  TRY(use_open(name, [&](const UniqueFd& fd) -> Status {
    each_xattr(fd.get(),
               [&](const std::string& one, std::string_view value) { all.emplace(one, value); });
    return ok();
  }));
  return all;
}

Status PastFiles::sync(std::span<const PastName> names) const {
  constexpr std::size_t kFew = 32;  // 0.3 ms each on ext4
  if (names.size() > kFew) return sync_all();
  for (const PastName& name : names) {
    const auto fd = open(name);
    if (!fd && fd.error().code == ENOENT) continue;
    if (!fd) return std::unexpected(fd.error());
    if (::fdatasync(fd->get()) != 0) return fail_errno(path_of(name));
    if (!fits_a_name(name.path)) TRY(notes_.sync());
  }
  return ok();
}

// With all that others have on the same disk, notes among it.
Status PastFiles::sync_all() const {
  const UniqueFd directory(::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return directory && ::syncfs(directory.get()) == 0 ? ok() : fail_errno(directory_);
}

Result<struct stat> PastFiles::attributes(const PastName& name) const {
  const std::string path = path_of(name);
  struct stat attributes{};
  if (::lstat(path.c_str(), &attributes) != 0) return fail_errno(path);
  return attributes;
}

Status PastFiles::note_moved(const PastName& name, const std::string& path) {
  return notes_.add(name.number, {.now = path});
}

Status PastFiles::rename(const PastName& name, const std::string& path) {
  const std::string from = path_of(name);
  const std::string to = path_of({name.number, path});
  return ::rename(from.c_str(), to.c_str()) == 0 ? ok() : fail_errno(from);
}

Status PastFiles::drop(const PastName& name) { return file::remove(path_of(name)); }

Result<std::vector<PastName>> PastFiles::list() const {
  const auto notes = notes_.read();
  const auto complete = [&](PastName& name, const std::string& file) {
    const auto note = notes.find(name.number);
    if (note == notes.end()) return;
    const PastName whole{name.number, note->second.path};
    if (!name.whole && file_name(whole) == file) name = whole;
    if (note->second.now != name.path) name.now = note->second.now;
  };
  std::vector<PastName> names;
  for (const HostEntry& folder : TRY(list_directory(directory_))) {
    if (!text::number<std::uint64_t>(folder.name)) continue;
    for (const HostEntry& file :
         TRY(list_directory(fmt::format("{}/{}", directory_, folder.name)))) {
      if (auto parsed = parse_name(file.name)) {
        complete(*parsed, file.name);
        names.push_back(std::move(*parsed));
      }
    }
  }
  return names;
}

// Asked before each change that keeps something, and on some disks dear.
Result<struct statvfs> PastFiles::statistics(bool afresh) const {
  const auto now = std::chrono::steady_clock::now();
  Lock lock(mutex_);
  if (!afresh && now - looked_ < std::chrono::seconds(1)) return room_;
  if (::statvfs(directory_.c_str(), &room_) != 0) return fail_errno(directory_);
  looked_ = now;
  return room_;
}

}  // namespace

Result<std::unique_ptr<PastStore>> open_past(const std::string& directory, const Lender* lender) {
  auto store = std::make_unique<PastFiles>(directory, lender);
  TRY(store->open());
  return store;
}

}  // namespace agentfs
