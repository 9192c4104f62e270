"""Runs the CUDA C of launches on the processor: each thread of a block is a fiber, and barriers and
shuffles switch between them. It needs a C++ compiler, and finds wrong indices, missing barriers
and wrong formulas, not what only a GPU's memory model would show.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest

from rushlight.compiler.backends.cuda.launch import NAME, Launch
from rushlight.compiler.backends.cuda.prelude import COMMON

__name__ = "rushlight.emulator"  # captures look into what users wrote, of which this is no part

COMPILER = shutil.which("g++") or shutil.which("clang++")
needs_compiler = pytest.mark.skipif(
    COMPILER is None, reason="no C++ compiler to run CUDA C on the processor"
)

HEADER = r"""
#include <cmath>
#include <cstdint>
#include <cstring>
#include <ucontext.h>
#include <type_traits>
#include <utility>
#include <vector>
using namespace std;
struct uint3_ { unsigned x, y, z; };
static uint3_ threadIdx, blockIdx, blockDim, gridDim;
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__
#define __launch_bounds__(...)
#define __cluster_dims__(...)
#define __shared__ static
#define __constant__ static const
static const int warpSize = 32;

// states: 0 ready, 1 waits for its block, 2 for its warp, 3 done, 4 waits for its cluster
struct Fiber { ucontext_t at; int state; };
static std::vector<Fiber> fibers;
static std::vector<char> stacks;
static ucontext_t home;
static int self, count, threads, cluster, first_block;  // of all blocks of a cluster; of a block
static unsigned char slots[8192][16];
static unsigned char memories[8][262144] __attribute__((aligned(64)));
#define dynamic_memory memories[self / threads]
static void place() {
  unsigned k = self % threads, n = first_block + self / threads;
  threadIdx = {k % blockDim.x, k / blockDim.x % blockDim.y, k / (blockDim.x * blockDim.y)};
  blockIdx = {n % gridDim.x, n / gridDim.x % gridDim.y, n / (gridDim.x * gridDim.y)};
}
static void wait_as(int state) {
  int me = self;
  fibers[me].state = state;
  swapcontext(&fibers[me].at, &home);
}
static void __syncthreads() { wait_as(1); }
static void cluster_sync() { wait_as(4); }
template <typename T> static T* of_block(T* p, int block) {
  return (T*)((unsigned char*)p + ((block - self / threads) * (ptrdiff_t)sizeof(memories[0])));
}
static void __syncwarp(unsigned = ~0u) { wait_as(2); }
static void __threadfence() {}
static void __threadfence_block() {}
template <typename T> static T exchanged(T v, int from) {
  memcpy(slots[self], &v, sizeof(T));
  wait_as(2);
  T r; memcpy(&r, slots[from], sizeof(T));
  wait_as(2);
  return r;
}
template <typename T> static T __shfl_sync(unsigned, T v, int lane, int w = 32) {
  return exchanged(v, self / w * w + lane % w);
}
template <typename T> static T __shfl_xor_sync(unsigned, T v, int mask, int w = 32) {
  int lane = self % 32 ^ mask;
  return exchanged(v, lane / w == self % 32 / w ? self / 32 * 32 + lane : self);
}
template <typename T> static T __shfl_down_sync(unsigned, T v, unsigned d, int w = 32) {
  return exchanged(v, self % w + d < (unsigned)w ? self + d : self);
}
template <typename T> static T __shfl_up_sync(unsigned, T v, unsigned d, int w = 32) {
  return exchanged(v, self % w >= (int)d ? self - d : self);
}
static unsigned __ballot_sync(unsigned, int p) {
  unsigned bits = 0;
  for (int k = 0; k < 32; k++) bits |= (unsigned)(exchanged(p != 0, self / 32 * 32 + k)) << k;
  return bits;
}
static int __any_sync(unsigned m, int p) { return __ballot_sync(m, p) != 0; }
static int __all_sync(unsigned m, int p) { return __ballot_sync(m, p) == ~0u; }
static int __popc(unsigned x) { return __builtin_popcount(x); }
static int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static int __clz(int x) { return x ? __builtin_clz(x) : 32; }
static int __ffs(int x) { return __builtin_ffs(x); }
static unsigned __umulhi(unsigned a, unsigned b) { return (unsigned long long)a * b >> 32; }
static unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned __int128)a * b >> 64;
}
template <typename T> static T __ldg(const T* p) { return *p; }
template <typename T> static T atomicAdd(T* p, T v) { T o = *p; *p += v; return o; }
template <typename T> static T atomicMax(T* p, T v) { T o = *p; if (v > o) *p = v; return o; }
template <typename T> static T atomicMin(T* p, T v) { T o = *p; if (v < o) *p = v; return o; }
template <typename T> static T atomicOr(T* p, T v) { T o = *p; *p |= v; return o; }
template <typename T> static T atomicExch(T* p, T v) { T o = *p; *p = v; return o; }
template <typename T> static T atomicCAS(T* p, T e, T v) { T o = *p; if (o == e) *p = v; return o; }
static float rsqrtf(float x) { return 1 / sqrtf(x); }
static double rsqrt(double x) { return 1 / sqrt(x); }
static void sincospif(float x, float* s, float* c) {
  *s = sinf((float)M_PI * x);
  *c = cosf((float)M_PI * x);
}
static void sincospi(double x, double* s, double* c) {
  *s = sin(M_PI * x);
  *c = cos(M_PI * x);
}

typedef unsigned short half_bits;
struct bfloat_bits { unsigned short bits; };
static float widen(half_bits h) { _Float16 x; memcpy(&x, &h, 2); return (float)x; }
static half_bits narrow_half(float f) {
  _Float16 x = (_Float16)f;
  half_bits h;
  memcpy(&h, &x, 2);
  return h;
}
static float as_float(unsigned x) { float f; memcpy(&f, &x, 4); return f; }
static unsigned as_bits(float f) { unsigned x; memcpy(&x, &f, 4); return x; }
static double as_double(unsigned long long x) { double f; memcpy(&f, &x, 8); return f; }
static float roundedf(float x) { volatile float kept = x; return kept; }
static double rounded(double x) { volatile double kept = x; return kept; }

// what a warp's lanes have, all together
template <typename T> static void of_warp(const T& own, T* all) {
  static T given[1024];
  given[self] = own;
  wait_as(2);
  memcpy(all, given + self / 32 * 32, 32 * sizeof(T));
  wait_as(2);
}
struct Factors { unsigned a[4], b[2]; };
// c += a b, 16 by 8, where a register has ``PARTS`` elements
template <int PARTS, typename Value>
static void mma(float* c, const unsigned* a, const unsigned* b, Value value) {
  Factors own, all[32];
  memcpy(own.a, a, 16);
  memcpy(own.b, b, 8);
  of_warp(own, all);
  const int half = 4 * PARTS;
  for (int i = 0; i < 4; i++) {
    int row = self % 32 / 4 + i / 2 * 8, column = self % 4 * 2 + i % 2;
    for (int k = 0; k < 2 * half; k++) {
      int lane = k % half / PARTS, part = k % PARTS, side = k / half;
      c[i] += value(all[row % 8 * 4 + lane].a[row / 8 + 2 * side], part) *
              value(all[column * 4 + lane].b[side], part);
    }
  }
}
static void mma_tf32(float* c, const unsigned* a, const unsigned* b) {
  mma<1>(c, a, b, [](unsigned x, int) { return as_float(x & 0xffffe000); });
}
static void mma_half(float* c, const unsigned* a, const unsigned* b) {
  mma<2>(c, a, b, [](unsigned x, int part) { return widen((half_bits)(x >> 16 * part)); });
}
static void mma_bfloat(float* c, const unsigned* a, const unsigned* b) {
  mma<2>(c, a, b, [](unsigned x, int part) { return as_float(x >> 16 * part << 16); });
}
static void turned(unsigned* x, const void* row) {
  const unsigned short* rows[32];
  of_warp((const unsigned short*)row, rows);
  int lane = self % 32;
  for (int i = 0; i < 4; i++) {
    const unsigned short** own = rows + 8 * i + lane % 4 * 2;
    x[i] = own[0][lane / 4] | (unsigned)own[1][lane / 4] << 16;
  }
}
static void copy_async(void* to, const void* from, int size) {
  if ((uintptr_t)to % 16 || (size && (uintptr_t)from % 16)) __builtin_trap();  // not aligned
  memset(to, 0, 16);
  memcpy(to, from, size);
}
static void copies_end() {}
template <int N> static void copies_wait() {}
static float power_of_2(float x) { return exp2f(x); }
static unsigned pack_half(float a, float b) {
  return narrow_half(a) | (unsigned)narrow_half(b) << 16;
}
static unsigned short bfloat_of(float f) {
  unsigned x = as_bits(f);
  return f != f ? 0x7fc0 : (x + 0x7fff + (x >> 16 & 1)) >> 16;
}
static unsigned pack_bfloat(float a, float b) {
  return bfloat_of(a) | (unsigned)bfloat_of(b) << 16;
}
"""

FOOTER = r"""
static void call_kernel(void** given);
template <typename T> static T given_as(void* a) {
  return *(T*)a;
}
template <typename... A, size_t... K>
static void call(void (*kernel)(A...), void** a, index_sequence<K...>) {
  kernel(given_as<A>(a[K])...);
}
template <typename... A> static void call(void (*kernel)(A...), void** a) {
  call(kernel, a, make_index_sequence<sizeof...(A)>());
}
static void** arguments;
static void entry() {
  place();
  call_kernel(arguments);
  fibers[self].state = 3;
  swapcontext(&fibers[self].at, &home);
}
static void release(int state, int start, int end) {
  for (int k = start; k < count && k < end; k++)
    if (fibers[k].state == state) fibers[k].state = 0;
}
static bool all_in(int state, int start, int end) {
  bool any = false;
  for (int k = start; k < end; k++) {
    if (fibers[k].state != state && fibers[k].state != 3) return false;
    any |= fibers[k].state == state;
  }
  return any;
}
static void run_cluster() {
  const size_t SIZE = 65536;
  threads = blockDim.x * blockDim.y * blockDim.z;
  count = cluster * threads;
  fibers.resize(count);
  stacks.resize(count * SIZE);
  for (int k = 0; k < count; k++) {
    getcontext(&fibers[k].at);
    fibers[k].at.uc_stack.ss_sp = &stacks[k * SIZE];
    fibers[k].at.uc_stack.ss_size = SIZE;
    fibers[k].at.uc_link = &home;
    fibers[k].state = 0;
    makecontext(&fibers[k].at, entry, 0);
  }
  for (;;) {
    bool moved = false, alive = false, released = false;
    for (self = 0; self < count; self++)
      if (fibers[self].state == 0) { moved = true; place(); swapcontext(&home, &fibers[self].at); }
    for (int k = 0; k < count; k++) alive |= fibers[k].state != 3;
    if (!alive) return;
    for (int begin = 0; begin < count; begin += threads) {
      int end = begin + threads;
      for (int w = begin; w < end; w += 32) {
        int last = w + 32 < end ? w + 32 : end;
        if (all_in(2, w, last)) { release(2, w, last); released = true; }
      }
      if (all_in(1, begin, end)) { release(1, begin, end); released = true; }
    }
    if (all_in(4, 0, count)) { release(4, 0, count); released = true; }
    if (!released && !moved) __builtin_trap();   // threads wait for each other
  }
}
extern "C" void emulate(void** given, const unsigned* grid, const unsigned* block, int blocks) {
  arguments = given;
  gridDim = {grid[0], grid[1], grid[2]};
  blockDim = {block[0], block[1], block[2]};
  cluster = blocks;
  unsigned total = grid[0] * grid[1] * grid[2];
  for (first_block = 0; first_block < total; first_block += cluster) run_cluster();
  vector<char>().swap(stacks);  // each kernel is a library with some of its own
}
"""

FOLDER = Path(tempfile.gettempdir()) / "rushlight-cuda-emulator"


def compiled(source: Path, made: Path, *options: str) -> None:
    """Run the compiler; what it says is the error."""
    command = [COMPILER, "-std=c++17", "-O0", "-w", "-fPIC", "-ffp-contract=off", *options]
    done = subprocess.run(
        [*command, "-o", str(made), str(source)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[:4000] + source.read_text()[-4000:]


def kept(name: str, text: str, suffix: str, *options: str) -> Path:
    """The file that the compiler makes of a text, which may be there already."""
    key = hashlib.sha256((text + str(options)).encode()).hexdigest()[:24]
    FOLDER.mkdir(exist_ok=True)
    found = FOLDER / f"{name}-{key}{suffix}"
    if not found.exists():
        with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
            source, made = Path(folder) / f"{name}.cpp", Path(folder) / "made"
            source.write_text(text)
            compiled(source, made, *options)
            made.replace(found)
    return found


@functools.cache
def emulated(text: str) -> ctypes.CDLL:
    """The library in which the kernel of a text is a function."""
    body = re.sub(
        r"extern __shared__\s+(?:__align__\(\d+\)\s+)?([\w ]+?)\s+(\w+)\[\];",
        r"\1* \2 = (\1*)dynamic_memory;",
        text,
    )
    header = kept("header", HEADER + COMMON + FOOTER, ".h.gch", "-x", "c++-header")
    plain = header.with_suffix("")  # which stands for the compiled one beside it
    if not plain.exists():
        plain.write_text(HEADER + COMMON + FOOTER)
    entry = f"static void call_kernel(void** a) {{ call({NAME}, a); }}"
    whole = f'#include "{plain}"\n{body}\n{entry}\n'
    return ctypes.CDLL(str(kept("kernel", whole, ".so", "-shared")))


def run(launch: Launch, memory: list[np.ndarray]) -> None:
    """Run a launch; ``memory`` are the arrays of its operands, in order, offsets not applied."""
    places = [
        a.__array_interface__["data"][0] + offset
        for a, (_, offset) in zip(memory, launch.operands, strict=True)
    ]
    addressed(launch, places)


def addressed(launch: Launch, values: list[int | float]) -> None:
    """Run a launch on the addresses of its operands, or on numbers."""
    library = emulated(launch.text)
    cells = [
        ctypes.c_double(v) if isinstance(v, float) else ctypes.c_int64(v)
        for v in (*values, *launch.sizes)
    ]
    given = (ctypes.c_void_p * len(cells))(*[ctypes.addressof(c) for c in cells])
    grid, block = (ctypes.c_uint * 3)(*launch.grid), (ctypes.c_uint * 3)(*launch.block)
    cluster = re.search(r"__cluster_dims__\((\w+)\)", launch.text)
    blocks = 1 if cluster is None else constant(launch.text, cluster[1])
    assert launch.grid[0] % blocks == 0, "blocks of a cluster are missing"
    library.emulate(given, grid, block, blocks)


def constant(text: str, name: str) -> int:
    """The value of a constant of a text."""
    found = re.search(rf"constexpr int {name} = (\d+);", text)
    assert found is not None, name
    return int(found[1])
