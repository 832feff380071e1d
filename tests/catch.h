// SPDX-License-Identifier: MIT
// One include for Catch2 2.13 and 3.
#pragma once
#if __has_include(<catch2/catch_test_macros.hpp>)
#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
namespace Catch::Matchers {
inline auto has(const std::string& text) { return ContainsSubstring(text); }
}  // namespace Catch::Matchers
#else
#include <catch2/catch.hpp>
namespace Catch::Matchers {
inline auto has(const std::string& text) { return Contains(text); }
}  // namespace Catch::Matchers
#endif
