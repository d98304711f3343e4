// npm run bench:native -- [--quick] [--isa NAME] [--table floats|integers|light|light-integers] [--threads N]
// [--seconds S]
//
// The layers of QARepVGG-A0 at 224 x 224 on floats and on integers: operations per second, and share of the peak that a
// loop in registers reaches in the same run. Peak and layers are measured alternately. Weights rotate through several
// sets in one arena, like those of a network, so that no layer finds its weights in the cache. Two more tables have
// depthwise, pointwise and transposed convolutions.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/threads.h"
#include "bench/bench.h"
#include "kernels/dispatch.h"

namespace qarepvgg {
namespace {

bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : nullptr;
    if (argument == "--quick") {
      options.quick = true;
      options.seconds = 0.02;
      continue;
    }
    if (value == nullptr) return false;
    ++i;
    if (argument == "--isa")
      options.isa = value;
    else if (argument == "--table")
      options.table = value;
    else if (argument == "--threads")
      options.threads = std::atoi(value);
    else if (argument == "--seconds")
      options.seconds = std::atof(value);
    else
      return false;
  }
  bool known = options.table.empty();
  for (const char* table : {"floats", "integers", "light", "light-integers"}) known |= options.table == table;
  return known && options.threads >= 0 && options.seconds > 0;
}

int run(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) {
    std::fprintf(
        stderr,
        "usage: native_bench [--quick] [--isa NAME] [--table floats|integers|light|light-integers] [--threads N] "
        "[--seconds PER_MEASUREMENT]\n");
    return 2;
  }
  std::vector<int> teams{1};
  if (thread_budget().count > 1) teams.push_back(thread_budget().count);
  if (options.threads > 0) teams = {options.threads};
  bool correct = true;
  for (const KernelTable* kernels : available_kernels()) {
    if (!options.isa.empty() && options.isa != kernels->isa) continue;
    use_kernels_for_test(*kernels);
    for (int threads : teams) {
      const auto wants = [&](const char* table) { return options.table.empty() || options.table == table; };
      if (wants("floats")) correct = run_float_table(*kernels, threads, options) && correct;
      if (wants("integers")) correct = run_integer_table(*kernels, threads, options) && correct;
      if (wants("light")) correct = run_light_table(*kernels, threads, options) && correct;
      if (wants("light-integers")) correct = run_light_integer_table(*kernels, threads, options) && correct;
    }
  }
  return correct ? 0 : 1;
}

}  // namespace
}  // namespace qarepvgg

int main(int argc, char** argv) { return qarepvgg::run(argc, argv); }
