import { CPU_SCRATCH_BYTES_PER_THREAD, CUDA_SCRATCH_BYTES, cudaMemoryBytes } from './device.js'

/** What a plan must know of the device that runs it, so that it is exact on a machine without that device. */
export interface Backend {
  name: 'cpu' | 'cuda'
  /** Working memory besides the arenas, in bytes. */
  scratchBytes(threads: number): number
  /** Memory that the logits of one chunk of scored rows may take, in bytes. */
  logitsBytes: number
}

export const cpuBackend: Backend = {
  name: 'cpu',
  scratchBytes: (threads) => threads * CPU_SCRATCH_BYTES_PER_THREAD,
  // 296 rows of a vocabulary of 151,936.
  logitsBytes: 176 << 20,
}

const cudaBackend: Backend = {
  name: 'cuda',
  scratchBytes: () => CUDA_SCRATCH_BYTES,
  // 2,200 rows of that vocabulary. Each chunk costs one pass over dW [V, C], about as long as the matrix products of 600 rows,
  // so a chunk should be several times that.
  logitsBytes: 1280 * 2 ** 20,
}

/** The backend of a device's name: `cpu`, `cuda`, `cuda:1`, `cuda-emulated`. */
export function backendOf(device: string): Backend {
  return device.startsWith('cuda') ? cudaBackend : cpuBackend
}

/** The part of available memory that a run may take when `memory_limit` is not given. */
const MEMORY_SHARE = 0.9

/** Most of the memory that the process, or the CUDA device, may have; nothing where that device is not on this machine. */
export function defaultMemoryLimit(device: string, availableBytes?: number): number | undefined {
  const isCuda = backendOf(device).name === 'cuda'
  const available = isCuda ? (availableBytes ?? cudaMemoryBytes(device)) : process.availableMemory()
  return available === undefined ? undefined : Math.floor(MEMORY_SHARE * available)
}
