// SPDX-License-Identifier: MIT
// The verbs of control files: a verb's arguments are its function's parameters, checked when
// compiled.
#pragma once

#include <array>
#include <tuple>
#include <type_traits>

#include "base/text.h"
#include "fcp/parse.h"
#include "kernel/caller.h"

namespace agentfs::vfs {

template <class O>
struct Verb {
  std::string_view word{};
  std::string_view syntax{};
  std::string_view doc{};
  Result<std::string> (*run)(const O&, const Caller&, const fcp::Line&,
                             std::string_view syntax) = nullptr;
};

namespace detail {

// Not constexpr: naming one in a constant expression is the compile error that a bad row gets.
void row_without_a_name();
void row_doc_is_not_a_sentence();
void row_mode_does_not_fit_its_handlers();
void blocking_row_must_be_unlisted();
void rows_are_out_of_order_or_twice();
void verb_syntax_does_not_start_with_its_word();
void verb_syntax_does_not_match_its_parameters();
void verbs_are_out_of_order_or_twice();

constexpr bool is_sentence(std::string_view doc) {
  return doc.size() > 3 && doc.back() == '.' && !(doc.front() >= 'a' && doc.front() <= 'z');
}

constexpr int count_words(std::string_view syntax) {
  int count = 0;
  bool inside = false;
  for (const char c : syntax) {
    if (c != ' ' && !inside) ++count;
    inside = c != ' ';
  }
  return count;
}

template <class F>
struct Signature;
template <class R, class O, class... A>
struct Signature<R (*)(const O&, const Caller&, A...)> {
  using Object = O;
  using Arguments = std::tuple<std::remove_cvref_t<A>...>;
  static constexpr std::size_t kCount = sizeof...(A);
};

template <class T>
Result<T> take(const fcp::Line& line, std::size_t index, std::string_view syntax) {
  if constexpr (fcp::is_optional<T>) {
    if (index >= line.words.size()) return T();
    return TRY(take<typename T::value_type>(line, index, syntax));
  } else {
    if (index >= line.words.size()) {
      return fail(EINVAL, "{}: an argument is missing; {} would do", line.words[0], syntax);
    }
    if constexpr (std::is_same_v<T, fcp::Rest>) {
      return fcp::Rest{std::string(line.rest(index))};
    } else {
      return fcp::Parser<T>::parse({line.words[0], line.words[index], syntax});
    }
  }
}

template <class Arguments, std::size_t... I>
Result<Arguments> take_all(const fcp::Line& line, std::string_view syntax,
                           std::index_sequence<I...>) {
  constexpr bool kTakesRest =
      (std::is_same_v<std::tuple_element_t<I, Arguments>, fcp::Rest> || ... || false);
  if (!kTakesRest && line.words.size() > sizeof...(I) + 1) {
    return fail(EINVAL, "{}: one word too many ({}); {} would do{}", line.words[0],
                text::shown(line.words[sizeof...(I) + 1]), syntax,
                sizeof...(I) == 0 ? "" : ", and what has blanks is one word in double quotes");
  }
  Arguments arguments;
  Status status = ok();
  [[maybe_unused]] const auto one = [&](auto& slot, std::size_t index) {
    if (!status) return;
    auto parsed = take<std::remove_reference_t<decltype(slot)>>(line, index, syntax);
    if (parsed)
      slot = *std::move(parsed);
    else
      status = std::unexpected(std::move(parsed).error());
  };
  (one(std::get<I>(arguments), I + 1), ...);
  TRY(status);
  return arguments;
}

}  // namespace detail

// A verb whose arguments are the parameters of `F`: Status or Result<std::string>
// F(const O&, const Caller&, arguments…). The syntax is the word and one word an argument:
// [optional] ones last, the last may be a fcp::Rest.
template <auto F>
consteval auto verb(std::string_view word, std::string_view syntax, std::string_view doc) {
  using S = detail::Signature<decltype(F)>;
  using O = typename S::Object;
  if (!detail::is_sentence(doc)) detail::row_doc_is_not_a_sentence();
  if (!syntax.starts_with(word)) detail::verb_syntax_does_not_start_with_its_word();
  if (detail::count_words(syntax) != static_cast<int>(S::kCount) + 1) {
    detail::verb_syntax_does_not_match_its_parameters();
  }
  return Verb<O>{word, syntax, doc,
                 [](const O& object, const Caller& caller, const fcp::Line& line,
                    std::string_view usage) -> Result<std::string> {
                   auto arguments = TRY((detail::take_all<typename S::Arguments>(
                       line, usage, std::make_index_sequence<S::kCount>())));
                   auto result = std::apply(
                       [&](auto&... a) { return F(object, caller, std::move(a)...); }, arguments);
                   if constexpr (std::is_same_v<decltype(result), Status>) {
                     TRY(result);
                     return std::string();
                   } else {
                     return result;
                   }
                 }};
}

template <class O, std::size_t N>
consteval std::array<Verb<O>, N> verbs(const Verb<O> (&rows)[N]) {
  std::array<Verb<O>, N> table{};
  for (std::size_t i = 0; i < N; ++i) {
    if (i > 0 && !(rows[i - 1].word < rows[i].word)) detail::verbs_are_out_of_order_or_twice();
    table[i] = rows[i];
  }
  return table;
}

}  // namespace agentfs::vfs
