import { type ExpectedTensor, expectedTensors } from '../checkpoint/tensor-names.js'
import type { ModelConfig } from '../config/model-config.js'
import { aligned } from '../graph/memory-plan.js'

/** A weight by its Hugging Face name, with its place in the parameter arena (and, the same, in those of gradients and moments). */
export interface ParameterPart extends ExpectedTensor {
  /** Bytes from the start of the arena. */
  offset: number
  bytes: number
}

/** A parameter as the graph sees it: one weight, or several that one matrix product reads together. */
export interface Parameter {
  name: string
  shape: number[]
  offset: number
  bytes: number
  parts: ParameterPart[]
}

/**
 * Where every weight lies, float32:
 *
 * ```
 * | embed | qkv 0 (q,k,v) | o 0 | gate_up 0 (gate,up) | down 0 | … |  norms and biases  |
 * |<------------------ decayed: two dimensions ------------------>|<-- not decayed --->|
 * ```
 *
 * Queries, keys and values lie one after the other, so that one product makes all three; so do gate and up.
 */
export interface ParameterLayout {
  parameters: Map<string, Parameter>
  /** By Hugging Face name, in the order in which Hugging Face saves them. */
  parts: Map<string, ParameterPart>
  /** Bytes of the arena. */
  bytes: number
  /** Bytes at its start that weight decay acts on: tensors of two or more dimensions. */
  decayedBytes: number
}

function fusedName(name: string): string {
  return name.replace(/\.[qkv]_proj\./, '.qkv_proj.').replace(/\.(gate|up)_proj\./, '.gate_up_proj.')
}

export function layOutParameters(config: ModelConfig): ParameterLayout {
  const groups = new Map<string, ExpectedTensor[]>()
  const expected = expectedTensors(config)
  for (const tensor of expected) {
    const name = fusedName(tensor.name)
    groups.set(name, [...(groups.get(name) ?? []), tensor])
  }
  const parameters = new Map<string, Parameter>()
  let offset = 0
  const place = (dimensions: (count: number) => boolean) => {
    for (const [name, tensors] of groups) {
      if (!dimensions(tensors[0]!.shape.length)) continue
      const parts: ParameterPart[] = []
      let end = offset
      for (const tensor of tensors) {
        const bytes = tensor.shape.reduce((size, dimension) => size * dimension, 4)
        parts.push({ ...tensor, offset: end, bytes })
        end += bytes
      }
      const rows = tensors.reduce((sum, tensor) => sum + tensor.shape[0]!, 0)
      parameters.set(name, { name, shape: [rows, ...tensors[0]!.shape.slice(1)], offset, bytes: end - offset, parts })
      offset = aligned(end)
    }
  }
  place((count) => count >= 2)
  const decayedBytes = offset
  place((count) => count < 2)
  const placed = new Map([...parameters.values()].flatMap((parameter) => parameter.parts.map((part) => [part.name, part])))
  return { parameters, parts: new Map(expected.map(({ name }) => [name, placed.get(name)!])), bytes: offset, decayedBytes }
}

/** How many numbers the model learns. */
export function countParameters(config: ModelConfig): number {
  return expectedTensors(config).reduce((sum, { shape }) => sum + shape.reduce((size, dimension) => size * dimension, 1), 0)
}
