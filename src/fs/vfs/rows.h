// SPDX-License-Identifier: MIT
// The rows that fs/tree is written in: one struct a file, typed by the object it belongs to,
// checked when compiled.
#pragma once

#include <array>
#include <type_traits>

#include "fs/vfs/table.h"
#include "fs/vfs/verbs.h"

namespace agentfs::vfs {

template <class O>
struct File {
  std::string_view name{};
  mode_t mode = 0;
  std::string_view doc{};
  Result<std::string> (*read)(const O&, const Caller&) = nullptr;        // value, setting, message
  Result<ContentRef> (*content)(const O&, const Caller&) = nullptr;      // value, when large
  Status (*write)(const O&, const Caller&, std::string_view) = nullptr;  // setting
  Status (*deliver)(const O&, const Caller&, std::string_view) = nullptr;  // message
  std::span<const Verb<O>> verbs{};                                        // control
  void (*reply)(const O&, const Caller&, std::string, Completion<std::string>) = nullptr;
  std::string_view usage{};  // of a reply
  void (*wait)(const O&, const Caller&, Completion<std::string>) = nullptr;
  Result<Unsubscribe> (*follow)(const O&, const Caller&, Sink) = nullptr;
  Result<std::string> (*link)(const O&, const Caller&) = nullptr;
  const DirectoryType* directory = nullptr;  // directory, collection
  Result<std::vector<std::string>> (*list)(const O&, const Caller&) = nullptr;  // collection, trees
  Result<TreeView> (*view)(const O&, const Caller&, const std::string& name) = nullptr;  // trees
  const DocumentOperations* documents = nullptr;
  bool data = false;  // root of a data tree
  bool listed = true;
  bool is_private = false;  // where other users may use the mount: for the file's owner alone
  bool cached = false;
  bool slow = false;  // its text takes long to make: once for all who ask at once
};

template <class O>
constexpr Kind kind_of(const File<O>& f) {
  if (f.data) return Kind::data;
  if (f.documents != nullptr) return Kind::documents;
  if (f.view != nullptr) return Kind::trees;
  if (f.list != nullptr) return Kind::collection;
  if (f.directory != nullptr) return Kind::directory;
  if (f.link != nullptr) return Kind::link;
  if (f.follow != nullptr) return Kind::follow;
  if (f.wait != nullptr) return Kind::wait;
  if (f.reply != nullptr) return Kind::reply;
  if (!f.verbs.empty()) return Kind::control;
  if (f.deliver != nullptr) return Kind::message;
  if (f.write != nullptr) return Kind::setting;
  return Kind::value;
}

namespace detail {

template <class O>
constexpr void check_row(const File<O>& f) {
  if (f.name.empty()) row_without_a_name();
  if (!is_sentence(f.doc)) row_doc_is_not_a_sentence();
  const Kind kind = kind_of(f);
  const bool written = kind == Kind::setting || kind == Kind::control || kind == Kind::reply ||
                       kind == Kind::message;
  const bool is_file = written || kind == Kind::value || kind == Kind::wait || kind == Kind::follow;
  if (is_file && ((f.mode & 0444) == 0 || ((f.mode & 0222) != 0) != written)) {
    row_mode_does_not_fit_its_handlers();
  }
  if (kind == Kind::value && f.read == nullptr && f.content == nullptr) {
    row_mode_does_not_fit_its_handlers();
  }
  if ((kind == Kind::wait || kind == Kind::follow) && f.listed) blocking_row_must_be_unlisted();
}

}  // namespace detail

template <class O, std::size_t N>
consteval std::array<File<O>, N> files(const File<O> (&rows)[N]) {
  std::array<File<O>, N> table{};
  for (std::size_t i = 0; i < N; ++i) {
    detail::check_row(rows[i]);
    if (i > 0 && !(rows[i - 1].name < rows[i].name)) detail::rows_are_out_of_order_or_twice();
    table[i] = rows[i];
  }
  return table;
}

// "idle" -> "idle\n": what value files give.
inline std::string line(std::string_view value) { return std::string(value) + "\n"; }
template <class Number>
  requires std::is_arithmetic_v<Number>
std::string line(Number value) {
  return fmt::format("{}\n", value);
}

}  // namespace agentfs::vfs
