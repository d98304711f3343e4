// Macros for files with kernels.
#pragma once

// GCC must not clone or inline a kernel: a constant-propagated clone of a tile spills its accumulators.
#if defined(__GNUC__) && !defined(__clang__)
#define KERNEL __attribute__((noipa))
#define INLINE inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")
#elif defined(__clang__)
#define KERNEL __attribute__((noinline))
#define INLINE inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define KERNEL __declspec(noinline)
#define INLINE __forceinline
#define UNROLL
#endif
