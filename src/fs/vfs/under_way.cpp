// SPDX-License-Identifier: MIT
#include "fs/vfs/under_way.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cstring>

#include "base/blocks.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "fs/vfs/data_file.h"

namespace agentfs::vfs {

struct UnderWay::Slot {
  std::atomic<std::uint32_t> length;  // of the text; 0: nothing is under way
  char text[12'284];                  // two paths of PATH_MAX, and who it is

  static constexpr std::uint32_t kElsewhere = UINT32_MAX;  // the text has a file of its own
  bool is_long() const { return length.load(std::memory_order_relaxed) == kElsewhere; }
  // What builds without such files then find here is no change.
  void lead_elsewhere() {
    length.store(kElsewhere, std::memory_order_release);
    text[0] = '\0';
  }
};

namespace {

std::string text_of(const Caller& author, const TreeChange& change) {
  const HostCaller& host = author.host;
  return fmt::format("{1}{0}{2}{0}{3}{0}{4}{0}{5}{0}{6}{0}{7}{0}{8}{0}", '\0', change.operation,
                     change.path, change.other, author.process.value, host.pid, host.uid, host.gid,
                     host.command);
}

template <class Number>
Number as(std::string_view word) {
  return text::number<Number>(word).value_or(0);
}

std::optional<UnderWay::Left> parse(std::string_view text) {
  constexpr std::size_t kWords = 8;
  const auto words = text::split(text, '\0');
  if (words.size() < kWords || words[0].empty() || !words[1].starts_with('/')) return std::nullopt;
  UnderWay::Left left;
  left.change.operation = words[0];
  left.change.path = words[1];
  left.change.other = words[2];
  left.author.process.value = as<std::uint64_t>(words[3]);
  left.author.host.pid = as<pid_t>(words[4]);
  left.author.host.uid = as<uid_t>(words[5]);
  left.author.host.gid = as<gid_t>(words[6]);
  left.author.host.command = words[7];
  if (words.size() > kWords && !words[kWords].empty()) {
    if (auto kept = json::parse(words[kWords])) left.kept = *std::move(kept);
  }
  return left;
}

}  // namespace

UnderWay::UnderWay(const std::string& path) : path_(path) {
  if (path.empty()) return;
  if (!keeps_blocks(std::string(text::parent_part(path)))) {
    log::warning(
        "{}: its disk gives other room for what is written again, and may have none; of a change "
        "that a kill cuts off from its row, nothing will be told",
        path);
    return;
  }
  constexpr std::size_t kSize = kSlots * sizeof(Slot);
  const UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  // With all of its room, so that no write to the mapping ever lacks it.
  const int refused = file ? ::posix_fallocate(file.get(), 0, kSize) : errno;
  void* const mapped =
      refused != 0 ? MAP_FAILED
                   : ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (mapped == MAP_FAILED) {
    log::warning("{}: {}; of a change that a kill cuts off from its row, nothing will be told",
                 path, errno_name(refused != 0 ? refused : errno));
    return;
  }
  slots_ = static_cast<Slot*>(mapped);
  for (unsigned i = 0; i < kSlots; ++i) {
    const int slot = static_cast<int>(i);
    if (auto left = parse(text_in(slot))) {
      left->slot = slot;
      left_.push_back(std::move(*left));
      taken_ |= std::uint64_t{1} << i;
    } else {
      slots_[i].length = 0;
    }
    if (!slots_[i].is_long()) ::unlink(long_file(slot).c_str());
  }
}

std::string UnderWay::long_file(int slot) const { return fmt::format("{}.{}", path_, slot); }

bool UnderWay::put_long(int slot, std::string_view text, int flags) const {
  const UniqueFd file(
      ::open(long_file(slot).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600));
  return file && file::write_all(file.get(), text);
}

std::string UnderWay::text_in(int slot) const {
  const Slot& noted = slots_[slot];
  if (noted.is_long()) return file::read(long_file(slot)).value_or("");
  return {noted.text, std::min<std::size_t>(noted.length, sizeof noted.text)};
}

UnderWay::~UnderWay() {
  if (slots_ != nullptr) ::munmap(slots_, kSlots * sizeof(Slot));
}

int UnderWay::begin(const Caller& author, const TreeChange& change) {
  if (slots_ == nullptr) return -1;
  std::uint64_t taken = taken_.load(std::memory_order_relaxed);
  int free = 0;
  do {
    free = std::countr_one(taken);
    if (free == kSlots) return -1;
  } while (!taken_.compare_exchange_weak(taken, taken | (std::uint64_t{1} << free)));
  Slot& slot = slots_[free];
  const std::string text = text_of(author, change);
  if (text.size() <= sizeof slot.text) {
    std::memcpy(slot.text, text.data(), text.size());
    slot.length.store(static_cast<std::uint32_t>(text.size()), std::memory_order_release);
    return free;
  }
  if (put_long(free, text, O_TRUNC)) {
    slot.lead_elsewhere();
    return free;
  }
  end(free);
  return -1;
}

void UnderWay::note_kept(int slot, const json::Value& kept) {
  if (slot < 0) return;
  Slot& noted = slots_[slot];
  const std::string text = json::dump(kept) + '\0';
  if (noted.is_long()) {
    static_cast<void>(put_long(slot, text, O_APPEND));
    return;
  }
  const std::uint32_t length = noted.length.load(std::memory_order_relaxed);
  if (text.size() > sizeof noted.text - length) {
    if (put_long(slot, text_in(slot) + text, O_TRUNC)) noted.lead_elsewhere();
    return;
  }
  std::memcpy(noted.text + length, text.data(), text.size());
  noted.length.store(length + static_cast<std::uint32_t>(text.size()), std::memory_order_release);
}

void UnderWay::end(int slot) {
  if (slot < 0) return;
  const bool was_long = slots_[slot].is_long();
  slots_[slot].length.store(0, std::memory_order_release);
  if (was_long) ::unlink(long_file(slot).c_str());
  taken_.fetch_and(~(std::uint64_t{1} << slot));
}

namespace {

TreeChange with_names(TreeChange row, const ChangeOrder::Names& names) {
  row.path = names.path;
  row.other = names.other;
  return row;
}

}  // namespace

Undertaking::Undertaking(DataTree& tree, Caller author, const ChangeOrder::Naming& naming,
                         TreeChange row)
    : tree_(tree),
      turn_(tree.order(), naming),
      author_(std::move(author)),
      row_(with_names(std::move(row), turn_.names())),
      slot_(row_.other.empty() && tree.services().lies_ready(row_.path)
                ? -1
                : tree.under_way().begin(author_, row_)) {}

Undertaking::~Undertaking() { tree_.under_way().end(slot_); }

void Undertaking::note_kept(const json::Value& kept) { tree_.under_way().note_kept(slot_, kept); }

Status Undertaking::tell() const { return tree_.services().record_change(author_, row_); }

Status Undertaking::tell_done() const {
  Status told = tell();
  if (told || told.error().code != ENOSPC) return told;
  const Error why{EIO,
                  fmt::format("{}: the change ({}) was made, but the journal could not be told "
                              "of it: {}",
                              row_.path, row_.operation, told.error().message)};
  tree_.services().note_error(author_, row_.path, why);
  return std::unexpected(why);
}

}  // namespace agentfs::vfs
