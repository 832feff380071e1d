// SPDX-License-Identifier: MIT
// JSON values: parsed by simdjson, held in a small tree of our own, written compactly.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"

namespace agentfs::json {

class Value;
using Array = std::vector<Value>;
// Members keep their order; the first of two with one name is found.
using Object = std::vector<std::pair<std::string, Value>>;

// A value type; copying copies the whole tree. Strings are UTF-8 (dump() replaces what is not).
class Value {
 public:
  Value() = default;
  Value(std::nullptr_t) {}
  Value(bool b) : data_(b) {}
  Value(double d) : data_(d) {}
  template <class Integer>
    requires std::is_integral_v<Integer>
  Value(Integer i) : data_(static_cast<std::int64_t>(i)) {}
  Value(std::string s) : data_(std::move(s)) {}
  Value(std::string_view s) : data_(std::string(s)) {}
  Value(const char* s) : data_(std::string(s)) {}
  Value(Array a) : data_(std::move(a)) {}
  Value(Object o) : data_(std::move(o)) {}

  bool is_null() const { return std::holds_alternative<std::nullptr_t>(data_); }
  const bool* boolean() const { return std::get_if<bool>(&data_); }
  const std::int64_t* integer() const { return std::get_if<std::int64_t>(&data_); }
  const std::string* string() const { return std::get_if<std::string>(&data_); }
  const Array* array() const { return std::get_if<Array>(&data_); }
  const Object* object() const { return std::get_if<Object>(&data_); }
  Array* array() { return std::get_if<Array>(&data_); }
  Object* object() { return std::get_if<Object>(&data_); }

  // A member of an object, or the null value: v["a"]["b"] never fails.
  const Value& operator[](std::string_view name) const;
  // Conversions with a default for a value that is absent or of another type.
  std::string_view text(std::string_view otherwise = {}) const;
  std::int64_t number(std::int64_t otherwise = 0) const;
  double real(double otherwise = 0) const;  // integers too
  bool truth(bool otherwise = false) const;
  // Sets a member of an object (a null value becomes an empty object first).
  Value& set(std::string_view name, Value value);

  friend bool operator==(const Value&, const Value&) = default;

 private:
  std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, Array, Object> data_ =
      nullptr;
};

// EBADMSG with the place and the reason where the text is not one JSON value; nesting is limited
// to 256 levels. Integers beyond 64 bits become reals.
Result<Value> parse(std::string_view text);
std::string dump(const Value& value);               // one line, no spaces
void append(std::string& out, const Value& value);  // the same at the end of `out`
std::string dump_pretty(const Value& value);        // two spaces a level, with a final newline
// Bytes that need not be UTF-8: as they are and, where they are not, as hex in NAME_hex beside it.
void set_bytes(Value& object, std::string_view name, std::string_view bytes);
std::string bytes_of(const Value& object, std::string_view name);
void set_any(Value& object, std::string_view name, const Value& value);  // the same, if it is text
// The same of an element of an array: a text, or an object with its hex alone.
Value element_of(std::string_view bytes);
std::optional<std::string> bytes_of(const Value& element);  // nothing: it is neither
void append_quoted(std::string& out, std::string_view text);
void append_number(std::string& out, std::int64_t number);

// The members of one object, written one by one at the end of a text: for what is written so often
// that a tree of values would cost more than its text. The object ends with end().
class ObjectWriter {
 public:
  explicit ObjectWriter(std::string& out) : out_(out) { out_ += '{'; }
  // Where the value of member `name`, which needs no escapes, is to be appended.
  std::string& member(std::string_view name);
  void text(std::string_view name, std::string_view value) { append_quoted(member(name), value); }
  void number(std::string_view name, std::int64_t value) { append_number(member(name), value); }
  // Nothing where the value is empty.
  void text_if_any(std::string_view name, std::string_view value);
  void end() { out_ += '}'; }

 private:
  std::string& out_;
  bool is_first_ = true;
};

}  // namespace agentfs::json
