import { readFile } from 'node:fs/promises'
import { readHeader, type TensorEntry } from '../lib/checkpoint/safetensors.js'

/** The numbers of a float32 tensor of a safetensors file. */
export async function readTensor(entry: TensorEntry): Promise<Float32Array> {
  const bytes = await readFile(entry.file)
  return new Float32Array(
    bytes.buffer.slice(bytes.byteOffset + entry.byteOffset, bytes.byteOffset + entry.byteOffset + entry.byteLength),
  )
}

/** Every tensor of a float32 safetensors file, by name. */
export async function readTensors(path: string): Promise<Map<string, Float32Array>> {
  const tensors = new Map<string, Float32Array>()
  for (const entry of (await readHeader(path)).entries.values()) tensors.set(entry.name, await readTensor(entry))
  return tensors
}

/** ‖got − expected‖ / ‖expected‖ */
export function relativeL2(got: ArrayLike<number>, expected: ArrayLike<number>): number {
  let difference = 0
  let norm = 0
  for (let i = 0; i < expected.length; i++) {
    difference += (got[i]! - expected[i]!) ** 2
    norm += expected[i]! ** 2
  }
  return Math.sqrt(difference / (norm || 1))
}
