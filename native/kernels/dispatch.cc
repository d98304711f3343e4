#include "kernels/dispatch.h"

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "base/error.h"

namespace qarepvgg {
namespace {

std::vector<const KernelTable*> detect() {
  std::vector<const KernelTable*> tables{&kScalarKernels};
#if defined(QAREPVGG_X86)
  // __builtin_cpu_supports also asks the operating system (XCR0) whether it saves the registers.
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    tables.push_back(&kAvx2Kernels);
    if (__builtin_cpu_supports("avxvnni")) tables.push_back(&kAvxVnniKernels);
    // BW and VL: what all CPUs but the Xeon Phi have beside F.
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
      tables.push_back(&kAvx512Kernels);
      if (__builtin_cpu_supports("avx512vnni")) tables.push_back(&kAvx512VnniKernels);
    }
  }
#elif defined(QAREPVGG_ARM64)
  tables.push_back(&kNeonKernels);
#endif
  return tables;
}

std::string names(const std::vector<const KernelTable*>& tables) {
  std::string text;
  for (const KernelTable* table : tables) text += (text.empty() ? "" : ", ") + std::string(table->isa);
  return text;
}

const KernelTable* choose() {
  const auto& tables = available_kernels();
  const char* wanted = std::getenv("QAREPVGG_ISA");
  if (wanted == nullptr || *wanted == '\0') return tables.back();
  for (const KernelTable* table : tables)
    if (std::strcmp(table->isa, wanted) == 0) return table;
  fail(code::kIsa, "expected QAREPVGG_ISA to be one that this build and this CPU support (", names(tables),
       "), received '", wanted, "'");
}

// A choice that failed is not cached: the next call reports the same error.
std::atomic<const KernelTable*> active{nullptr};

}  // namespace

const std::vector<const KernelTable*>& available_kernels() {
  // Leaked on purpose: nothing may be destroyed at exit while a thread still computes.
  static const auto& tables = *new std::vector<const KernelTable*>(detect());
  return tables;
}

const KernelTable& active_kernels() {
  const KernelTable* table = active.load(std::memory_order_acquire);
  if (table == nullptr) active.store(table = choose(), std::memory_order_release);
  return *table;
}

void use_kernels_for_test(const KernelTable& table) { active.store(&table, std::memory_order_release); }

}  // namespace qarepvgg
