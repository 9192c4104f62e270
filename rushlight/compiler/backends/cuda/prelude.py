"""CUDA C that stands before every kernel: halves, limits, and functions that C does not have.

DEVICE is what only a GPU's compiler understands; COMMON is plain C++ but for CUDA's words.
"""

from __future__ import annotations

DEVICE = """
typedef unsigned short half_bits;   // float16
struct bfloat_bits { unsigned short bits; };

__device__ __forceinline__ float widen(half_bits h) {
  float f; asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h)); return f;
}
__device__ __forceinline__ half_bits narrow_half(float f) {
  half_bits h; asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(f)); return h;
}
__device__ __forceinline__ float as_float(unsigned x) { return __uint_as_float(x); }
__device__ __forceinline__ unsigned as_bits(float x) { return __float_as_uint(x); }
__device__ __forceinline__ double as_double(unsigned long long x) {
  return __longlong_as_double((long long)x);
}
// a multiplication before is not fused with an addition behind
__device__ __forceinline__ float roundedf(float x) { return __fadd_rn(x, -0.0f); }
__device__ __forceinline__ double rounded(double x) { return __dadd_rn(x, -0.0); }

#if __CUDA_ARCH__ >= 800
// c += a b of a warp's matrices, 16 by 8; the PTX ISA says which lane has what
__device__ __forceinline__ void mma_tf32(float* c, const unsigned* a, const unsigned* b) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ __forceinline__ void mma_half(float* c, const unsigned* a, const unsigned* b) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ __forceinline__ void mma_bfloat(float* c, const unsigned* a, const unsigned* b) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// four matrices of 8 by 8 halves, turned; each lane says where a row of 16 bytes is
__device__ __forceinline__ void turned(unsigned* x, const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
      : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
      : "r"((unsigned)__cvta_generic_to_shared(row)) : "memory");
}
// 16 bytes, the first ``size`` from memory, others 0, to shared memory: they are there when
// all but the last N groups, which copies_end ends, have been waited for
__device__ __forceinline__ void copy_async(void* to, const void* from, int size) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
      :: "r"((unsigned)__cvta_generic_to_shared(to)), "l"(from), "r"(size) : "memory");
}
__device__ __forceinline__ void copies_end() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int N> __device__ __forceinline__ void copies_wait() {
  asm volatile("cp.async.wait_group %0;" :: "n"(N) : "memory");
}
// two halves, the first in the lower bits
__device__ __forceinline__ unsigned pack_half(float a, float b) {
  unsigned x; asm("cvt.rn.f16x2.f32 %0, %2, %1;" : "=r"(x) : "f"(a), "f"(b)); return x;
}
__device__ __forceinline__ unsigned pack_bfloat(float a, float b) {
  unsigned x; asm("cvt.rn.bf16x2.f32 %0, %2, %1;" : "=r"(x) : "f"(a), "f"(b)); return x;
}
__device__ __forceinline__ float power_of_2(float x) {
  float y; asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x)); return y;
}
#endif
#if __CUDA_ARCH__ >= 900
// all blocks of a cluster wait for each other, and then see what each has written
__device__ __forceinline__ void cluster_sync() {
  asm volatile("barrier.cluster.arrive; barrier.cluster.wait;" ::: "memory");
}
// what has the place of p in the shared memory of another block of the cluster
template <typename T> __device__ __forceinline__ T* of_block(T* p, int block) {
  T* q; asm volatile("mapa.u64 %0, %1, %2;" : "=l"(q) : "l"(p), "r"(block)); return q;
}
#endif
"""

COMMON = """
typedef signed char i8; typedef unsigned char u8; typedef short i16; typedef unsigned short u16;
typedef int i32; typedef unsigned u32; typedef long long i64; typedef unsigned long long u64;

#define INF32 as_float(0x7f800000u)
#define NAN32 as_float(0x7fc00000u)
#define INF64 as_double(0x7ff0000000000000ull)
#define NAN64 as_double(0x7ff8000000000000ull)

__device__ __forceinline__ float widen(bfloat_bits b) { return as_float((unsigned)b.bits << 16); }
__device__ __forceinline__ bfloat_bits narrow_bfloat(float f) {
  unsigned x = as_bits(f);
  bfloat_bits b;
  b.bits = f != f ? 0x7fc0 : (unsigned short)((x + 0x7fffu + ((x >> 16) & 1)) >> 16);
  return b;
}

// 2^63 and more have no i64
__device__ __forceinline__ u64 unsigned_of(double x) {
  const double half = 9223372036854775808.0;
  return x >= half ? (u64)(i64)(x - half) ^ (u64)1 << 63 : (u64)(i64)x;
}
// NaN where either is
template <typename T> __device__ __forceinline__ T larger(T a, T b) {
  return a > b || a != a ? a : b;
}
template <typename T> __device__ __forceinline__ T smaller(T a, T b) {
  return a < b || a != a ? a : b;
}
template <typename T> __device__ __forceinline__ T power(T x, T n) {
  T y = 1;
  for (; n > 0; n >>= 1, x *= x) if (n & 1) y *= x;
  return y;
}
// how two parts of a reduction become one
enum { SUM, PROD, MAX, MIN };
template <int KIND, typename T> __device__ __forceinline__ T both(T a, T b) {
  if (KIND == SUM) return a + b;
  if (KIND == PROD) return a * b;
  if (KIND == MAX) return larger(a, b);
  return smaller(a, b);
}
// of TEAM neighbouring threads (a power of 2): every one gets the whole
template <int KIND, int TEAM, typename T> __device__ T of_neighbours(T v, void* shared) {
  T* room = (T*)shared;
  for (int d = (TEAM < 32 ? TEAM : 32) / 2; d; d /= 2)
    v = both<KIND>(v, (T)__shfl_xor_sync(~0u, v, d));  // which are ints of small ones
  if (TEAM <= 32) return v;
  __syncthreads();
  if (threadIdx.x % 32 == 0) room[threadIdx.x / 32] = v;
  __syncthreads();
  const T* own = room + threadIdx.x / TEAM * (TEAM / 32);
  v = own[0];
  for (int k = 1; k < TEAM / 32; k++) v = both<KIND>(v, own[k]);
  return v;
}
// of TEAM threads (a power of 2) that are ROWS apart: every one gets the whole
template <int KIND, int TEAM, int ROWS, typename T> __device__ T of_columns(T v, void* shared) {
  T* room = (T*)shared;
  if (TEAM == 1) return v;
  __syncthreads();
  room[threadIdx.x] = v;
  __syncthreads();
  for (int d = TEAM / 2; d; d /= 2) {
    if (threadIdx.x < d * ROWS)
      room[threadIdx.x] = both<KIND>(room[threadIdx.x], room[threadIdx.x + d * ROWS]);
    __syncthreads();
  }
  return room[threadIdx.x % ROWS];
}
"""

PRELUDE = DEVICE + COMMON
