// Portable integer kernels that use no instruction set beyond the baseline.
#include <cstring>

#include "kernels/attributes.h"
#include "kernels/integer_kernels.h"

namespace qarepvgg {
namespace {

#include "kernels/int8/look_up.inc"

struct Vec {
  struct Reg {
    std::int32_t v[4];
  };
  struct FReg {
    float v[4];
  };
  struct Words {
    std::int16_t v[4];
  };
  static constexpr int kLanes = 4;
  static constexpr std::size_t kWords = 4, kElementBytes = 1;
  static constexpr bool kInterleaves = false;
  using LookUp = LookUpEach<kElementBytes>;

  template <class R, class F>
  static R map(const F& f) {
    return {{f(0), f(1), f(2), f(3)}};
  }
  template <class R, class T>
  static R load_all(const T* p) {
    return map<R>([&](int i) { return p[i]; });
  }
  template <class R, class T>
  static void store_first_of(T* p, const R& r, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) p[i] = static_cast<T>(r.v[i]);
  }
  // Sums must wrap, so they are computed unsigned: signed overflow would be undefined.
  static std::int32_t wrap(std::uint32_t x) { return static_cast<std::int32_t>(x); }
  static std::uint32_t bits(std::int32_t x) { return static_cast<std::uint32_t>(x); }
  template <class T>
  static void read(const void* from, T& to) {
    std::memcpy(&to, from, sizeof to);
  }

  static void prefetch(const std::byte*) {}
  static Reg load(const void* p) {
    Reg r;
    read(p, r);
    return r;
  }
  static void store(void* p, Reg r) { std::memcpy(p, &r, sizeof r); }
  static Reg broadcast(const void* p) {
    std::int32_t x;
    read(p, x);
    return set(x);
  }
  static Reg set(std::int32_t x) { return {{x, x, x, x}}; }
  static Reg add(Reg a, Reg b) {
    return map<Reg>([&](int i) { return wrap(bits(a.v[i]) + bits(b.v[i])); });
  }
  static Reg sub(Reg a, Reg b) {
    return map<Reg>([&](int i) { return wrap(bits(a.v[i]) - bits(b.v[i])); });
  }
  static Reg mul(Reg a, Reg b) {
    return map<Reg>([&](int i) { return wrap(bits(a.v[i]) * bits(b.v[i])); });
  }
  static void hide(Reg& r) {
    for (std::int32_t& x : r.v) {
      volatile std::int32_t same = x;
      x = same;
    }
  }
  template <int N>
  static Reg shl(Reg a) {
    return map<Reg>([&](int i) { return wrap(bits(a.v[i]) << N); });
  }
  template <int N>
  static Reg sra(Reg a) {
    return map<Reg>([&](int i) { return a.v[i] >> N; });
  }
  static void dot(Reg& acc, Reg a, Reg b) {
    for (int i = 0; i < kLanes; ++i) {
      std::uint8_t elements[4];
      std::int8_t weights[4];
      read(&a.v[i], elements);
      read(&b.v[i], weights);
      std::int32_t sum = 0;
      for (int e = 0; e < 4; ++e) sum += elements[e] * weights[e];
      acc.v[i] = wrap(bits(acc.v[i]) + bits(sum));
    }
  }
  static void dot_words(Reg& acc, Reg a, Reg b) {
    for (int i = 0; i < kLanes; ++i) {
      std::int16_t x[2], w[2];
      read(&a.v[i], x);
      read(&b.v[i], w);
      acc.v[i] = wrap(bits(acc.v[i]) + bits(x[0] * w[0]) + bits(x[1] * w[1]));
    }
  }
  static Reg widen(const std::byte* p) {
    return map<Reg>([&](int i) { return static_cast<std::int32_t>(p[i]); });
  }
  static void narrow(std::byte* p, Reg r) { store_first_of(p, r, kLanes); }
  static void narrow_first(std::byte* p, Reg r, std::size_t n) { store_first_of(p, r, n); }

  static FReg to_float(Reg r) {
    return map<FReg>([&](int i) { return static_cast<float>(r.v[i]); });
  }
  // Adding 1.5 * 2^23 leaves no bits for a fraction, which rounds magnitudes up to 2^22.
  static Reg round(FReg x) {
    return map<Reg>([&](int i) {
      const float inside = x.v[i] < -0x1p22f ? -0x1p22f : x.v[i] > 0x1p22f ? 0x1p22f : x.v[i];
      const float whole = inside + 0x1.8p23f;
      return static_cast<std::int32_t>(whole - 0x1.8p23f);
    });
  }
  static Reg set_words(std::int32_t x) { return set(x); }
  static Reg set_elements(std::int32_t x) { return set(x); }
  static Reg pack(const Reg* r, Reg zero_point, Reg low) {
    std::uint8_t bytes[4 * kLanes];
    for (int i = 0; i < 4 * kLanes; ++i) {
      const std::int32_t x = r[i / kLanes].v[i % kLanes] + zero_point.v[0];
      bytes[i] = static_cast<std::uint8_t>(x < low.v[0] ? low.v[0] : x > 255 ? 255 : x);
    }
    return load(bytes);
  }
  static void store_part(std::byte* p, const Reg& packed, int part) {
    std::memcpy(p, &packed.v[part], sizeof packed.v[part]);
  }
  static FReg load_floats(const float* p) { return load_all<FReg>(p); }
  static void store_floats(float* p, FReg x) { store_first_of(p, x, kLanes); }
  static void store_first_floats(float* p, FReg x, std::size_t n) { store_first_of(p, x, n); }
  static FReg set_float(float x) { return {{x, x, x, x}}; }
  static FReg mul_float(FReg a, FReg b) {
    return map<FReg>([&](int i) { return a.v[i] * b.v[i]; });
  }
  static FReg fma_float(FReg a, FReg b, FReg c) {
    return map<FReg>([&](int i) { return __builtin_fmaf(a.v[i], b.v[i], c.v[i]); });
  }
  static FReg sub_float(FReg a, FReg b) {
    return map<FReg>([&](int i) { return a.v[i] - b.v[i]; });
  }
  static FReg add_float(FReg a, FReg b) {
    return map<FReg>([&](int i) { return a.v[i] + b.v[i]; });
  }
  static FReg div_float(FReg a, FReg b) {
    return map<FReg>([&](int i) { return a.v[i] / b.v[i]; });
  }
  static FReg max_float(FReg x, FReg bound) {
    return map<FReg>([&](int i) { return x.v[i] > bound.v[i] ? x.v[i] : bound.v[i]; });
  }
  static FReg min_float(FReg x, FReg bound) {
    return map<FReg>([&](int i) { return x.v[i] < bound.v[i] ? x.v[i] : bound.v[i]; });
  }

  static Words load_words(const std::byte* p, std::size_t) {
    return map<Words>([&](int i) { return static_cast<std::int16_t>(p[i]); });
  }
  static void store_words(std::int16_t* p, Words w, std::size_t) { store_first_of(p, w, kWords); }
  static Words add_words(Words a, Words b) {
    return map<Words>([&](int i) { return static_cast<std::int16_t>(a.v[i] + b.v[i]); });
  }
  static Words sub_words(Words a, Words b) {
    return map<Words>([&](int i) { return static_cast<std::int16_t>(a.v[i] - b.v[i]); });
  }
  template <int N>
  static Words shl_words(Words a) {
    return map<Words>([&](int i) { return static_cast<std::int16_t>(a.v[i] * (1 << N)); });
  }
};

constexpr int kMaxRows1 = 6, kMaxRows2 = 4, kMaxRows3 = 3;

#include "kernels/int8/body.inc"

}  // namespace

const IntegerKernels kScalarIntegerKernels = make_table();

}  // namespace qarepvgg
