import { readFile } from 'node:fs/promises'
import { readHeader, type TensorEntry } from '../lib/checkpoint/safetensors.js'
import { fromBf16 } from './ops/bf16.js'

/** The numbers of a float32 or bfloat16 tensor of a safetensors file. */
export async function readTensor(entry: TensorEntry): Promise<Float32Array> {
  const bytes = await readFile(entry.file)
  const start = bytes.byteOffset + entry.byteOffset
  const buffer = bytes.buffer.slice(start, start + entry.byteLength)
  return entry.dtype === 'BF16' ? fromBf16(new Uint16Array(buffer)) : new Float32Array(buffer)
}

/** Every tensor of a safetensors file, by name. */
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
