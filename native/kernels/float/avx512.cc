// AVX-512F: 32 registers of 16 floats. Tiles: 14 x 32 uses 28 accumulators, 9 x 48 uses 27.
#include <immintrin.h>

#include "kernels/attributes.h"
#include "kernels/kernel_table.h"

namespace qarepvgg {
namespace {

struct Vec {
  using Reg = __m512;
  static constexpr int kLanes = 16;

  static __mmask16 first(std::size_t n) { return static_cast<__mmask16>((1u << n) - 1u); }
  static void prefetch(const float* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1); }
  static void prefetch_near(const float* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0); }
  static Reg load(const float* p) { return _mm512_loadu_ps(p); }
  static Reg load_first(const float* p, std::size_t n) { return _mm512_maskz_loadu_ps(first(n), p); }
  static Reg load_first_or(const float* p, std::size_t n, float x) { return _mm512_mask_loadu_ps(set(x), first(n), p); }
  static void store(float* p, Reg r) { _mm512_storeu_ps(p, r); }
  static void store_first(float* p, Reg r, std::size_t n) { _mm512_mask_storeu_ps(p, first(n), r); }
  static Reg keep_first(Reg r, std::size_t n) { return _mm512_maskz_mov_ps(first(n), r); }
  static Reg broadcast(const float* p) { return _mm512_set1_ps(*p); }
  static Reg set(float x) { return _mm512_set1_ps(x); }
  static Reg zero() { return _mm512_setzero_ps(); }
  static Reg zip_low(Reg a, Reg b) {
    const __m512i order = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    return _mm512_permutex2var_ps(a, order, b);
  }
  static Reg zip_high(Reg a, Reg b) {
    const __m512i order = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    return _mm512_permutex2var_ps(a, order, b);
  }
  static Reg add(Reg a, Reg b) { return _mm512_add_ps(a, b); }
  static Reg sub(Reg a, Reg b) { return _mm512_sub_ps(a, b); }
  static Reg mul(Reg a, Reg b) { return _mm512_mul_ps(a, b); }
  static Reg div(Reg a, Reg b) { return _mm512_div_ps(a, b); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm512_fmadd_ps(a, b, c); }
  static Reg times_power(Reg r, Reg shifted) {
    const __m512i exponent = _mm512_maskz_slli_epi32(0xffff, _mm512_castps_si512(shifted), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(r), exponent));
  }
  // Both instructions return their second operand when either is NaN. The masked form with a full mask is the same
  // instruction; GCC 12 warns about the plain intrinsic's undefined pass-through operand.
  static Reg least(Reg a, Reg x) { return _mm512_maskz_min_ps(0xffff, a, x); }
  static Reg most(Reg a, Reg x) { return _mm512_maskz_max_ps(0xffff, a, x); }
  static Reg relu_gradient(Reg y, Reg x) { return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(y, zero(), _CMP_NLE_UQ), x); }
};

constexpr int kMaxRows1 = 14, kMaxRows2 = 14, kMaxRows3 = 9;
constexpr int kRegisters = 32;

#include "kernels/float/body.inc"

}  // namespace

const KernelTable kAvx512Kernels =
    make_table("avx512", kAvx512IntegerKernels, kAvx512TensorKernels, kAvx512ImageKernels);
const KernelTable kAvx512VnniKernels =
    make_table("avx512vnni", kAvx512VnniIntegerKernels, kAvx512TensorKernels, kAvx512ImageKernels);

}  // namespace qarepvgg
