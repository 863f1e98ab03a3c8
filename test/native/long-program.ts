import type { Arena, CompiledProgram, Device } from '../../lib/native/device.js'

const SIZE = 512

/** A program of so many matrix products, about a millisecond each, and the arena of its input x, its product y and its output. */
export function longProgram(device: Device, products: number): { program: CompiledProgram; arena: Arena; x: Float32Array } {
  const bytes = SIZE * SIZE * 4
  const arena = device.allocate(2 * bytes)
  const matrix = (offset: number) => ({ arena: 0, offset, dtype: 'f32' as const, shape: [SIZE, SIZE] })
  const [x, y] = [matrix(0), matrix(bytes)]
  const product = { op: 'linear', operands: { y, x, weight: x }, attributes: {} }
  const program = device.compile(
    {
      maxTokens: 0,
      maxSequences: 0,
      ops: new Array(products).fill(product),
      inputs: { x },
      outputs: { y: { ...y, shape: [1, 4] } },
    },
    [arena],
  )
  return { program, arena, x: new Float32Array(SIZE * SIZE).fill(0.5) }
}

/** More products than any test waits for: half a minute of work on the fastest processors. */
export const ENDLESS = 20_000
