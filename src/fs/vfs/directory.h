// SPDX-License-Identifier: MIT
// A typed table as a DirectoryType.
#pragma once

#include "fs/vfs/rows.h"

namespace agentfs::vfs {

// The sentence for a verb that a control file does not have, and the call of one that it has.
// `files`: those beside it, of which one may have been meant.
Result<std::string> unknown_verb(std::string_view word, const std::vector<std::string>& known,
                                 std::span<const RowInfo> files);

template <class O>
class Directory final : public DirectoryType {
 public:
  using Find = Result<std::shared_ptr<const O>> (*)(const Caller&, const Key&);
  using Writable = Status (*)(const O&, const Caller&);

  Directory(std::string_view placeholder, std::string_view doc, Find find,
            std::span<const File<O>> files, Writable writable = nullptr)
      : placeholder_(placeholder), doc_(doc), find_(find), files_(files), writable_(writable) {
    for (const File<O>& f : files_) infos_.push_back(describe(f));
  }

  std::string_view doc() const override { return doc_; }
  std::string_view placeholder() const override { return placeholder_; }
  std::span<const RowInfo> rows() const override { return infos_; }
  Result<ObjectRef> find(const Caller& caller, const Key& key) const override {
    return std::static_pointer_cast<const void>(TRY(find_(caller, key)));
  }

  Result<ContentRef> read(std::size_t row, const ObjectRef& object,
                          const Caller& caller) const override {
    const File<O>& f = files_[row];
    if (f.content != nullptr) return f.content(as(object), caller);
    if (f.read == nullptr) return text_content({});
    return text_content(TRY(f.read(as(object), caller)));
  }
  Status write(std::size_t row, const ObjectRef& object, const Caller& caller,
               std::string_view text) const override {
    const File<O>& f = files_[row];
    TRY(writable(row, object, caller));
    return (f.write != nullptr ? f.write : f.deliver)(as(object), caller, text);
  }
  Result<std::string> command(std::size_t row, const ObjectRef& object, const Caller& caller,
                              std::string_view text) const override {
    const fcp::Line parsed = TRY(fcp::parse_line(text));
    if (parsed.words.empty()) return std::string();
    std::vector<std::string> known;
    for (const Verb<O>& verb : files_[row].verbs) {
      const bool is_it = verb.word == parsed.words[0];
      if (is_it) return verb.run(as(object), caller, parsed, verb.syntax);
      known.emplace_back(verb.word);
    }
    return unknown_verb(parsed.words[0], known, infos_);
  }
  void reply(std::size_t row, const ObjectRef& object, const Caller& caller, std::string request,
             Completion<std::string> done) const override {
    files_[row].reply(as(object), caller, std::move(request), std::move(done));
  }
  void wait(std::size_t row, const ObjectRef& object, const Caller& caller,
            Completion<std::string> done) const override {
    files_[row].wait(as(object), caller, std::move(done));
  }
  Result<Unsubscribe> follow(std::size_t row, const ObjectRef& object, const Caller& caller,
                             Sink sink) const override {
    return files_[row].follow(as(object), caller, std::move(sink));
  }
  Result<std::string> link(std::size_t row, const ObjectRef& object,
                           const Caller& caller) const override {
    return files_[row].link(as(object), caller);
  }
  Result<std::vector<std::string>> list(std::size_t row, const ObjectRef& object,
                                        const Caller& caller) const override {
    return files_[row].list(as(object), caller);
  }
  Result<TreeView> view(std::size_t row, const ObjectRef& object, const Caller& caller,
                        const std::string& name) const override {
    return files_[row].view(as(object), caller, name);
  }
  const DocumentOperations* documents(std::size_t row) const override {
    return files_[row].documents;
  }
  // Verbs decide for themselves: a dead process can still be reaped.
  Status writable(std::size_t row, const ObjectRef& object, const Caller& caller) const override {
    const bool decided = writable_ == nullptr || infos_[row].kind == Kind::control;
    return decided ? ok() : writable_(as(object), caller);
  }

 private:
  static const O& as(const ObjectRef& object) { return *static_cast<const O*>(object.get()); }
  static RowInfo describe(const File<O>& f) {
    RowInfo info{.name = f.name,
                 .doc = f.doc,
                 .mode = f.mode,
                 .kind = kind_of(f),
                 .listed = f.listed,
                 .is_private = f.is_private,
                 .cached = f.cached,
                 .slow = f.slow,
                 .usage = f.usage,
                 .child = f.directory};
    for (const Verb<O>& v : f.verbs) info.verbs.push_back({v.word, v.syntax, v.doc});
    return info;
  }

  std::string_view placeholder_;
  std::string_view doc_;
  Find find_;
  std::span<const File<O>> files_;
  Writable writable_;
  std::vector<RowInfo> infos_;
};

}  // namespace agentfs::vfs
