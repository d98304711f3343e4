#include "kernels/dispatch.h"

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "base/error.h"

#if defined(QAREPVGG_X86)
#include <cpuid.h>
#elif defined(QAREPVGG_ARM64) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(QAREPVGG_ARM64) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace qarepvgg {
namespace {

#if defined(QAREPVGG_ARM64)
// Extensions of the CPU that the operating system supports.
struct ArmFeatures {
  bool dot = false, i8mm = false;

#if defined(__linux__)
  // HWCAP_ASIMDDP and HWCAP2_I8MM of the kernel's interface; headers of older C libraries lack the second.
  static constexpr unsigned long kDot = 1ul << 20, kI8mm = 1ul << 13;
  ArmFeatures() : dot((getauxval(AT_HWCAP) & kDot) != 0), i8mm((getauxval(AT_HWCAP2) & kI8mm) != 0) {}
#elif defined(__APPLE__)
  static bool has(const char* name) {
    int value = 0;
    std::size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
  }
  ArmFeatures() : dot(has("hw.optional.arm.FEAT_DotProd")), i8mm(has("hw.optional.arm.FEAT_I8MM")) {}
#endif
};
#endif

#if defined(QAREPVGG_X86)
// CPUID leaf 7.1: Clang 14 has no name for it in __builtin_cpu_supports. The registers are those of AVX2.
bool has_avx_vnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 4 & 1) != 0;
}

// AVX-512 VNNI with a look-up that only some of these CPUs have.
const KernelTable& vbmi_kernels() {
  static const IntegerKernels integer = [] {
    IntegerKernels kernels = *kAvx512VnniKernels.integer;
    kernels.look_up = look_up_avx512vbmi;
    return kernels;
  }();
  static const KernelTable table = [] {
    KernelTable kernels = kAvx512VnniKernels;
    kernels.isa = "avx512vbmi";
    kernels.integer = &integer;
    return kernels;
  }();
  return table;
}
#endif

std::vector<const KernelTable*> detect() {
  std::vector<const KernelTable*> tables{&kScalarKernels};
#if defined(QAREPVGG_X86)
  // __builtin_cpu_supports also asks the operating system (XCR0) whether it saves the registers.
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    tables.push_back(&kAvx2Kernels);
    if (has_avx_vnni()) tables.push_back(&kAvxVnniKernels);
    // All CPUs with F also have BW and VL, except the Xeon Phi.
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
      tables.push_back(&kAvx512Kernels);
      if (__builtin_cpu_supports("avx512vnni")) {
        tables.push_back(&kAvx512VnniKernels);
        if (__builtin_cpu_supports("avx512vbmi")) tables.push_back(&vbmi_kernels());
      }
    }
  }
#elif defined(QAREPVGG_ARM64)
  const ArmFeatures cpu;
  tables.push_back(&kNeonKernels);
  if (cpu.dot) {
    tables.push_back(&kNeonDotKernels);
    if (cpu.i8mm) tables.push_back(&kNeonI8mmKernels);
  }
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

// A failed choice is not cached, so that the next call reports the same error.
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
