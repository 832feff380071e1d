// SPDX-License-Identifier: MIT
#include "base/json.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/text.h"

namespace agentfs::json {
namespace {

const Value kNull;

// The member beside one whose bytes are not UTF-8.
std::string hex_name(std::string_view name) { return std::string(name).append("_hex"); }

Value converted(const simdjson::dom::element& element) {
  using simdjson::dom::element_type;
  switch (element.type()) {
    case element_type::NULL_VALUE:
      return nullptr;
    case element_type::BOOL:
      return bool(element);
    case element_type::INT64:
      return std::int64_t(element);
    case element_type::UINT64:
      return static_cast<double>(std::uint64_t(element));
    case element_type::DOUBLE:
      return double(element);
    case element_type::STRING:
      return std::string_view(element);
    case element_type::ARRAY: {
      Array array;
      for (const simdjson::dom::element item : simdjson::dom::array(element)) {
        array.push_back(converted(item));
      }
      return array;
    }
    case element_type::OBJECT: {
      Object object;
      for (const auto& [key, item] : simdjson::dom::object(element)) {
        object.emplace_back(std::string(key), converted(item));
      }
      return object;
    }
  }
  return nullptr;
}

bool needs_escape(char c) { return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\'; }

void append_escaped(std::string& out, char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      break;
    case '\\':
      out += "\\\\";
      break;
    case '\n':
      out += "\\n";
      break;
    case '\r':
      out += "\\r";
      break;
    case '\t':
      out += "\\t";
      break;
    default:
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
  }
}

void append_real(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";  // JSON has no other way to say it
    return;
  }
  const std::size_t start = out.size();
  fmt::format_to(std::back_inserter(out), "{}", value);
  if (out.find_first_of(".e", start) == std::string::npos) out += ".0";
}

// Writes with indentation when `indent` ≥ 0.
class Writer {
 public:
  Writer(std::string& out, bool pretty) : out_(out), pretty_(pretty) {}

  void write(const Value& value) {
    if (const bool* b = value.boolean()) {
      out_ += *b ? "true" : "false";
    } else if (const auto* i = value.integer()) {
      append_number(out_, *i);
    } else if (const auto* s = value.string()) {
      append_quoted(out_, *s);
    } else if (const auto* a = value.array()) {
      list('[', ']', *a, [this](const Value& item) { write(item); });
    } else if (const auto* o = value.object()) {
      list('{', '}', *o, [this](const auto& member) {
        append_quoted(out_, member.first);
        out_ += pretty_ ? ": " : ":";
        write(member.second);
      });
    } else if (value.is_null()) {
      out_ += "null";
    } else {
      append_real(out_, value.real());
    }
  }

 private:
  template <class Items, class Each>
  void list(char open, char close, const Items& items, Each&& each) {
    out_ += open;
    ++depth_;
    bool first = true;
    for (const auto& item : items) {
      if (!std::exchange(first, false)) out_ += ',';
      new_line();
      each(item);
    }
    --depth_;
    if (!items.empty()) new_line();
    out_ += close;
  }
  void new_line() {
    if (pretty_) out_.append("\n").append(depth_ * 2, ' ');
  }

  std::string& out_;
  bool pretty_;
  std::size_t depth_ = 0;
};

}  // namespace

const Value& Value::operator[](std::string_view name) const {
  if (const Object* members = object()) {
    for (const auto& [key, value] : *members) {
      if (key == name) return value;
    }
  }
  return kNull;
}

std::string_view Value::text(std::string_view otherwise) const {
  const auto* s = string();
  return s != nullptr ? std::string_view(*s) : otherwise;
}

std::int64_t Value::number(std::int64_t otherwise) const {
  if (const auto* i = integer()) return *i;
  if (const auto* d = std::get_if<double>(&data_)) {
    if (std::fabs(*d) < 9e18) return static_cast<std::int64_t>(*d);
  }
  return otherwise;
}

double Value::real(double otherwise) const {
  if (const auto* d = std::get_if<double>(&data_)) return *d;
  if (const auto* i = integer()) return static_cast<double>(*i);
  return otherwise;
}

bool Value::truth(bool otherwise) const {
  const bool* b = boolean();
  return b != nullptr ? *b : otherwise;
}

Value& Value::set(std::string_view name, Value value) {
  if (is_null()) data_ = Object{};
  Object* members = object();
  if (members == nullptr) return *this;
  for (auto& [key, old] : *members) {
    if (key == name) {
      old = std::move(value);
      return *this;
    }
  }
  members->emplace_back(std::string(name), std::move(value));
  return *this;
}

Result<Value> parse(std::string_view text) {
  try {
    thread_local simdjson::dom::parser parser(64u << 20);
    if (parser.max_depth() != 256) {
      if (parser.allocate(4096, 256) != simdjson::SUCCESS)
        return fail(ENOSPC, "json: out of memory");
    }
    const auto element = parser.parse(text.data(), text.size());
    if (element.error() != simdjson::SUCCESS) {
      return fail(EBADMSG, "json: {} (in {})", simdjson::error_message(element.error()),
                  text::shown(text));
    }
    return converted(element.value_unsafe());
  } catch (const simdjson::simdjson_error& error) {
    return fail(EBADMSG, "json: {} (in {})", error.what(), text::shown(text));
  }
}

void append_quoted(std::string& out, std::string_view text) {
  std::string repaired;
  if (!text::is_utf8(text)) {
    repaired = text::to_utf8(text);
    text = repaired;
  }
  out += '"';
  while (!text.empty()) {
    const auto end = std::ranges::find_if(text, needs_escape);
    const auto plain = static_cast<std::size_t>(end - text.begin());
    out += text.substr(0, plain);
    if (plain == text.size()) break;
    append_escaped(out, *end);
    text.remove_prefix(plain + 1);
  }
  out += '"';
}

void append_number(std::string& out, std::int64_t number) {
  std::array<char, 24> digits{};
  const auto end = std::to_chars(digits.begin(), digits.end(), number).ptr;
  out.append(digits.begin(), end);
}

std::string& ObjectWriter::member(std::string_view name) {
  if (!std::exchange(is_first_, false)) out_ += ',';
  out_ += '"';
  out_ += name;
  out_ += "\":";
  return out_;
}

void ObjectWriter::text_if_any(std::string_view name, std::string_view value) {
  if (!value.empty()) text(name, value);
}

void append(std::string& out, const Value& value) { Writer(out, false).write(value); }

std::string dump(const Value& value) {
  std::string out;
  append(out, value);
  return out;
}

std::string dump_pretty(const Value& value) {
  std::string out;
  Writer(out, true).write(value);
  out += '\n';
  return out;
}

void set_bytes(Value& object, std::string_view name, std::string_view bytes) {
  object.set(name, bytes);
  if (!text::is_utf8(bytes)) object.set(hex_name(name), text::hex(bytes));
}

void set_any(Value& object, std::string_view name, const Value& value) {
  if (const std::string* const text = value.string()) {
    set_bytes(object, name, *text);
  } else {
    object.set(name, value);
  }
}

Value element_of(std::string_view bytes) {
  if (text::is_utf8(bytes)) return bytes;
  return Object{{"hex", text::hex(bytes)}};
}

std::optional<std::string> bytes_of(const Value& element) {
  if (const std::string* const text = element.string()) return *text;
  return text::unhex(element["hex"].text());
}

std::string bytes_of(const Value& object, std::string_view name) {
  const std::string_view hex = object[hex_name(name)].text();
  auto exact = hex.empty() ? std::nullopt : text::unhex(hex);
  return exact ? *std::move(exact) : std::string(object[name].text());
}

}  // namespace agentfs::json
