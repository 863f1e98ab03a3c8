import { type BackendName, type DeviceOpening, expectedDevice, parseDeviceName } from '../config/device-name.js'
import { NativeError } from '../errors.js'

/** What code outside of the addon must know of a backend, so that a plan is exact on a machine without its device. */
export interface Backend {
  name: BackendName
  /** Working memory of the device besides the arenas, in bytes. */
  scratchBytes(threads: number): number
  /** Memory that the logits of one chunk of scored rows may take, in bytes. */
  logitsBytes: number
  /** Whether the device has memory of its own, apart from the process's. */
  hasOwnMemory: boolean
}

/** Working memory of each thread of the CPU backend, in bytes; the native side's kScratchBytesPerThread. */
export const CPU_SCRATCH_BYTES_PER_THREAD = 6 << 20

/** Working memory of a CUDA device, in bytes; the native side's kCudaScratchBytes. */
export const CUDA_SCRATCH_BYTES = 80 << 20

export const cpuBackend: Backend = {
  name: 'cpu',
  scratchBytes: (threads) => threads * CPU_SCRATCH_BYTES_PER_THREAD,
  // 296 rows of a vocabulary of 151,936.
  logitsBytes: 176 << 20,
  hasOwnMemory: false,
}

const cudaBackend: Backend = {
  name: 'cuda',
  scratchBytes: () => CUDA_SCRATCH_BYTES,
  // 2,200 rows of that vocabulary. Each chunk costs one pass over dW [V, C], about as long as the matrix products of 600 rows,
  // so a chunk should be several times that.
  logitsBytes: 1280 * 2 ** 20,
  hasOwnMemory: true,
}

const backends: Readonly<Record<BackendName, Backend>> = { cpu: cpuBackend, cuda: cudaBackend }

/**
 * The backend of a device by its name, `cpu`, `cuda`, `cuda:1` or `cuda-emulated`, and what opens it.
 *
 * @throws NativeError DEVICE_UNAVAILABLE for another name
 */
export function deviceOf(device: string): { backend: Backend; opening: DeviceOpening } {
  const parsed = parseDeviceName(device)
  if (!parsed)
    throw new NativeError('DEVICE_UNAVAILABLE', `expected ${expectedDevice} for the device but received "${device}"`, { device })
  return { backend: backends[parsed.backend], opening: parsed.opening }
}

/** The backend alone. */
export function backendOf(device: string): Backend {
  return deviceOf(device).backend
}
