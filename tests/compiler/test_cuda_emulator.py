"""The emulator that other tests rely on: barriers, shuffles, dynamic shared memory."""

import numpy as np

from rushlight.compiler.backends.cuda.launch import Launch
from tests.compiler.cuda_emulator import needs_compiler, run

SUMS = """
extern "C" __global__ void kernel(const float* a, float* out) {
  extern __shared__ float parts[];
  float v = a[blockIdx.x * 256 + threadIdx.x];
  for (int d = 16; d; d /= 2) v += __shfl_xor_sync(~0u, v, d);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = v;
  __syncthreads();
  if (threadIdx.x < 32) {
    float t = threadIdx.x < 8 ? parts[threadIdx.x] : 0;
    for (int d = 4; d; d /= 2) t += __shfl_xor_sync(~0u, t, d);
    if (threadIdx.x == 0) out[blockIdx.x] = t;
  }
}
"""


@needs_compiler
def test_threads_wait_for_each_other():
    a, out = np.arange(1024, dtype=np.float32), np.zeros(4, np.float32)
    run(Launch(SUMS, ((0, 0), (1, 0)), (4, 1, 1), (256, 1, 1), shared=32), [a, out])
    np.testing.assert_array_equal(out, a.reshape(4, 256).sum(1))
