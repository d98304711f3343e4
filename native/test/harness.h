// A small test harness: registered tests, seeded random cases, and checks that say what was expected, what was
// received, and where. A test ends at its first failed check. A test that checks nothing fails.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <sstream>
#include <string>

#include "base/error.h"
#include "test/random.h"

namespace qarepvgg::test {

class Test {
 public:
  Test(std::string name, std::uint64_t seed, bool quick);

  // Runs body `count` times (fewer with --quick), each time with its own random numbers.
  void repeat(std::size_t count, const std::function<void(Rng&)>& body);

 private:
  std::uint64_t seed_;
  bool quick_;
};

// Returns true, so that the initialiser of a static variable can call it.
bool register_test(std::string name, std::function<void(Test&)> body);

#define TEST(name)                                                  \
  static void name(::qarepvgg::test::Test& test);                   \
  static const bool name##_registered = register_test(#name, name); \
  static void name([[maybe_unused]] ::qarepvgg::test::Test& test)

// Counts a check that passed.
void count_check();
[[noreturn]] void fail_check(const char* file, int line, const std::string& message);

template <class... Parts>
std::string text_of(const Parts&... parts) {
  std::ostringstream text;
  text.precision(9);
  (text << ... << parts);
  return text.str();
}

// The trailing arguments say where; they are concatenated, only on failure.
#define CHECK(condition, ...)                                                                               \
  do {                                                                                                      \
    if (!(condition))                                                                                       \
      ::qarepvgg::test::fail_check(__FILE__, __LINE__,                                                      \
                                   ::qarepvgg::test::text_of("expected " #condition ", at ", __VA_ARGS__)); \
    ::qarepvgg::test::count_check();                                                                        \
  } while (false)

#define CHECK_EQUAL(received, expected, ...)                                                                   \
  do {                                                                                                         \
    const auto& received_ = received;                                                                          \
    const auto& expected_ = expected;                                                                          \
    if (!(received_ == expected_))                                                                             \
      ::qarepvgg::test::fail_check(__FILE__, __LINE__,                                                         \
                                   ::qarepvgg::test::text_of("expected " #received " to be ", expected_,       \
                                                             ", received ", received_, ", at ", __VA_ARGS__)); \
    ::qarepvgg::test::count_check();                                                                           \
  } while (false)

// The code of the error that body throws; "no error" if it does not throw.
template <class Body>
std::string code_of(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.code();
  }
  return "no error";
}

}  // namespace qarepvgg::test
