#include "test/harness.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <signal.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace qarepvgg::test {
namespace {

constexpr std::size_t kQuickPart = 20;

struct Registered {
  std::string name;
  std::function<void(Test&)> body;
};

std::vector<Registered>& registry() {
  static std::vector<Registered> tests;
  return tests;
}

struct Options {
  std::uint64_t seed = 1;
  bool quick = false;
  std::string filter;
};

// What is running, for the report of a failure or a crash.
struct Progress {
  char rerun[256];
  std::size_t test_case, checks;
} progress;

class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

std::uint64_t hash(const std::string& text, std::uint64_t seed) {
  for (char c : text) seed = Rng(seed ^ static_cast<unsigned char>(c)).next();
  return seed;
}

// Says which test crashed, for example on a guard page, and then lets the signal end the process.
void report_crash(int signal_number) {
  char text[320];
  const int length = std::snprintf(text, sizeof text, "CRASHED (signal %d) in case %zu of: %s\n", signal_number,
                                   progress.test_case, progress.rerun);
  if (length > 0 && write(STDOUT_FILENO, text, static_cast<std::size_t>(length)) < 0) _exit(3);
}

void install_crash_report() {
  struct sigaction action{};
  action.sa_handler = report_crash;
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // the faulting instruction runs again and then ends the process
  for (int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT}) sigaction(number, &action, nullptr);
}

// Some tests use more threads than there are CPUs. OpenMP's threads then wait many times longer for each other, unless
// they sleep, which its runtime must be told before the process starts.
void wait_without_spinning(char** arguments) {
  if (getenv("OMP_WAIT_POLICY") != nullptr) return;
  setenv("OMP_WAIT_POLICY", "passive", 1);
  execv("/proc/self/exe", arguments);  // returns if there is no such file: the tests are then slower, not wrong
}

bool run(const Registered& registered, const Options& options) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  std::snprintf(progress.rerun, sizeof progress.rerun, "--filter %s --seed %llu%s", registered.name.c_str(),
                static_cast<unsigned long long>(options.seed), options.quick ? " --quick" : "");
  progress.test_case = progress.checks = 0;
  std::string failure;
  try {
    Test test(registered.name, options.seed, options.quick);
    registered.body(test);
    if (progress.checks == 0) failure = "expected at least one check, there was none";
  } catch (const std::exception& error) {
    failure = error.what();
  }
  const long long ms = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count();
  if (failure.empty()) {
    std::printf("ok      %-48s %8zu checks %6lld ms\n", registered.name.c_str(), progress.checks, ms);
  } else {
    std::printf("FAILED  %s: %s\n        case %zu, rerun with %s\n", registered.name.c_str(), failure.c_str(),
                progress.test_case, progress.rerun);
  }
  std::fflush(stdout);
  return failure.empty();
}

bool parse(int count, char** arguments, Options& options) {
  for (int i = 1; i < count; ++i) {
    const std::string name = arguments[i];
    if (name == "--quick") {
      options.quick = true;
    } else if (name == "--filter" && i + 1 < count) {
      options.filter = arguments[++i];
    } else if (name == "--seed" && i + 1 < count) {
      const char *text = arguments[++i], *end = text + std::strlen(text);
      if (std::from_chars(text, end, options.seed).ptr != end) return false;
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace

Test::Test(std::string name, std::uint64_t seed, bool quick) : seed_(hash(name, seed)), quick_(quick) {}

void Test::repeat(std::size_t count, const std::function<void(Rng&)>& body) {
  if (quick_) count = std::max<std::size_t>(1, count / kQuickPart);
  for (std::size_t i = 0; i < count; ++i) {
    progress.test_case = i;
    Rng rng(seed_ + i);
    Rng separate(rng.next());  // consecutive seeds would make overlapping sequences
    body(separate);
  }
}

bool register_test(std::string name, std::function<void(Test&)> body) {
  registry().push_back({std::move(name), std::move(body)});
  return true;
}

void count_check() { ++progress.checks; }

void fail_check(const char* file, int line, const std::string& message) {
  const char* name = std::strrchr(file, '/');
  throw Failure(text_of(message, " (", name != nullptr ? name + 1 : file, ":", line, ")"));
}

}  // namespace qarepvgg::test

int main(int count, char** arguments) {
  using namespace qarepvgg::test;
  Options options;
  if (!parse(count, arguments, options)) {
    std::fprintf(stderr, "usage: native_test [--filter TEXT] [--seed N] [--quick]\n");
    return 2;
  }
  wait_without_spinning(arguments);
  install_crash_report();
  auto& tests = registry();
  std::sort(tests.begin(), tests.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  std::size_t passed = 0, failed = 0;
  for (const Registered& test : tests)
    if (test.name.find(options.filter) != std::string::npos) ++(run(test, options) ? passed : failed);
  std::printf("%zu passed, %zu failed\n", passed, failed);
  return failed == 0 && passed > 0 ? 0 : 1;
}
