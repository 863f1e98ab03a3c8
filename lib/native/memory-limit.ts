import { backendOf } from './backend.js'
import { cudaMemoryBytes } from './device.js'

/** Share of available memory that a run may take when `memory_limit` is not given. */
const MEMORY_SHARE = 0.9

/** Most of the memory that the process, or the CUDA device, may have; nothing where that device is not on this machine. */
export function defaultMemoryLimit(device: string, availableBytes?: number): number | undefined {
  const available = backendOf(device).hasOwnMemory ? (availableBytes ?? cudaMemoryBytes(device)) : process.availableMemory()
  return available === undefined ? undefined : Math.floor(MEMORY_SHARE * available)
}
