import type { OpDescription, TensorDescription } from './addon-types.js'
import type { Device } from './device.js'

/** Tokens, and numbers that go in and come out. */
const [T, K, N] = [128, 256, 192]

/**
 * Runs the products of a layer in bfloat16, forward with a bias and backward, and returns how many of the three the device's library
 * refused.
 */
export async function refusedProducts(device: Device): Promise<number> {
  let bytes = 0
  const tensor = (dtype: 'bf16' | 'f32', ...shape: number[]): TensorDescription => {
    const offset = bytes
    bytes += shape.reduce((product, size) => product * size, dtype === 'f32' ? 4 : 2)
    return { arena: 0, offset, dtype, shape }
  }
  const [x, y, weight, bias] = [tensor('bf16', T, K), tensor('bf16', T, N), tensor('bf16', N, K), tensor('bf16', N)]
  const [d_x, d_weight] = [tensor('bf16', T, K), tensor('f32', N, K)]
  const ops: OpDescription[] = [
    { op: 'linear', operands: { y, x, weight, bias }, attributes: {} },
    { op: 'linear_backward_input', operands: { d_x, d_y: y, weight }, attributes: {} },
    { op: 'linear_backward_weight', operands: { d_weight, d_y: y, x }, attributes: {} },
  ]
  const before = device.info.refusedProducts
  const program = device.compile({ maxTokens: T, maxSequences: 1, ops, inputs: {}, outputs: {} }, [device.allocate(bytes)])
  await program.run({ inputs: {} })
  return device.info.refusedProducts - before
}
