// AVX2 + FMA: 16 registers of 8 floats. Tiles: 6 x 16 and 4 x 24 use 12 accumulators.
#include <immintrin.h>

#include "kernels/attributes.h"
#include "kernels/kernel_table.h"

namespace qarepvgg {
namespace {

struct Vec {
  using Reg = __m256;
  static constexpr int kLanes = 8;

  static __m256i first(std::size_t n) {
    const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), index);
  }
  static void prefetch(const float* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1); }
  static void prefetch_near(const float* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0); }
  static Reg load(const float* p) { return _mm256_loadu_ps(p); }
  static Reg load_first(const float* p, std::size_t n) { return _mm256_maskload_ps(p, first(n)); }
  static Reg load_first_or(const float* p, std::size_t n, float x) {
    return _mm256_blendv_ps(set(x), load_first(p, n), _mm256_castsi256_ps(first(n)));
  }
  static void store(float* p, Reg r) { _mm256_storeu_ps(p, r); }
  static void store_first(float* p, Reg r, std::size_t n) { _mm256_maskstore_ps(p, first(n), r); }
  static Reg keep_first(Reg r, std::size_t n) { return _mm256_and_ps(r, _mm256_castsi256_ps(first(n))); }
  static Reg broadcast(const float* p) { return _mm256_broadcast_ss(p); }
  static Reg set(float x) { return _mm256_set1_ps(x); }
  static Reg zero() { return _mm256_setzero_ps(); }
  static Reg zip_low(Reg a, Reg b) {
    return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x20);
  }
  static Reg zip_high(Reg a, Reg b) {
    return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x31);
  }
  static Reg add(Reg a, Reg b) { return _mm256_add_ps(a, b); }
  static Reg sub(Reg a, Reg b) { return _mm256_sub_ps(a, b); }
  static Reg mul(Reg a, Reg b) { return _mm256_mul_ps(a, b); }
  static Reg div(Reg a, Reg b) { return _mm256_div_ps(a, b); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm256_fmadd_ps(a, b, c); }
  static Reg times_power(Reg r, Reg shifted) {
    const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(r), exponent));
  }
  // Both instructions return their second operand when either is NaN.
  static Reg least(Reg a, Reg x) { return _mm256_min_ps(a, x); }
  static Reg most(Reg a, Reg x) { return _mm256_max_ps(a, x); }
  static Reg relu_gradient(Reg y, Reg x) { return _mm256_and_ps(_mm256_cmp_ps(y, zero(), _CMP_NLE_UQ), x); }
};

constexpr int kMaxRows1 = 12, kMaxRows2 = 6, kMaxRows3 = 4;
constexpr int kRegisters = 16;

#include "kernels/float/body.inc"

}  // namespace

const KernelTable kAvx2Kernels = make_table("avx2", kAvx2IntegerKernels, kAvx2TensorKernels, kAvx2ImageKernels);
const KernelTable kAvxVnniKernels =
    make_table("avxvnni", kAvxVnniIntegerKernels, kAvx2TensorKernels, kAvx2ImageKernels);

}  // namespace qarepvgg
