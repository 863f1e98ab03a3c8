import { aligned } from '../graph/memory-plan.js'
import type { Tensor } from '../graph/tensor.js'
import type { ComputeDtype } from '../native/addon-types.js'
import type { Placement } from './plan.js'

/** One weight of a Hugging Face model folder: its name there and its shape, `[out, in]` for a linear layer. */
export interface Weight {
  name: string
  shape: number[]
}

/** What a parameter is in a decoder, which says how it begins. `branch-end` is a projection whose result is added to the residual stream. */
export type ParameterRole = 'embedding' | 'projection' | 'branch-end' | 'norm' | 'bias'

/** A parameter as a model declares it: one weight, or several stacked by rows that one matrix product reads together. */
export interface Parameter {
  /** As graphs and programs call it. */
  name: string
  role: ParameterRole
  parts: Weight[]
  shape: number[]
  /** Whether it has a gradient and optimizer state. */
  trainable: boolean
}

/** All parameters of a model. */
export interface Parameters {
  all: readonly Parameter[]
  /** The weights that they are made of, in the order in which Hugging Face saves them. */
  weights: readonly Weight[]
}

/** A weight with its place in the storage of parameters (and, the same, in those of gradients and moments). */
export interface PlacedWeight extends Weight {
  /** Bytes from the start of the storage, of float32. */
  offset: number
  bytes: number
  trainable: boolean
}

export interface PlacedParameter extends Parameter {
  offset: number
  bytes: number
  parts: PlacedWeight[]
}

/**
 * Where every weight lies, as float32; bfloat16 lies at half of the offset:
 *
 * ```
 * | embed | qkv 0 (q,k,v) | o 0 | gate_up 0 (gate,up) | down 0 | … |  norms and biases  | what is not trained |
 * |<------------------ decayed: two dimensions ------------------>|<-- not decayed --->|
 * |<------------------------------------ trained ------------------------------------->|
 * ```
 *
 * Queries, keys and values lie one after the other, so that one product makes all three; so do gate and up.
 */
export interface ParameterLayout {
  parameters: Map<string, PlacedParameter>
  /** By Hugging Face name, in the order in which Hugging Face saves them. */
  parts: Map<string, PlacedWeight>
  /** Bytes of all. */
  bytes: number
  /** Bytes at the start that are trained: those of gradients, and of each moment. */
  trainedBytes: number
  /** Bytes at the start that weight decay acts on: trained tensors of two or more dimensions. */
  decayedBytes: number
}

/** Gives every parameter its place in the arenas of parameters, gradients and moments; what is not trained has none in the last two. */
export function layOutParameters({ all, weights }: Parameters): ParameterLayout {
  const parameters = new Map<string, PlacedParameter>()
  let end = 0
  const place = (isHere: (parameter: Parameter) => boolean): number => {
    for (const parameter of all.filter(isHere)) {
      const start = end
      const parts = parameter.parts.map((part) => {
        const placed = { ...part, offset: end, bytes: 4 * count(part), trainable: parameter.trainable }
        end += placed.bytes
        return placed
      })
      parameters.set(parameter.name, { ...parameter, offset: start, bytes: end - start, parts })
      end = aligned(end)
    }
    return end
  }
  const isMatrix = ({ shape }: Parameter) => shape.length >= 2
  const decayedBytes = place((parameter) => parameter.trainable && isMatrix(parameter))
  const trainedBytes = place((parameter) => parameter.trainable && !isMatrix(parameter))
  const bytes = place((parameter) => !parameter.trainable)
  const placed = new Map([...parameters.values()].flatMap(({ parts }) => parts.map((part) => [part.name, part])))
  return { parameters, parts: new Map(weights.map(({ name }) => [name, placed.get(name)!])), bytes, trainedBytes, decayedBytes }
}

/** How many numbers some weights have together. */
export function countNumbers(weights: Iterable<Weight>): number {
  let sum = 0
  for (const weight of weights) sum += count(weight)
  return sum
}

export function trainedWeights({ parts }: ParameterLayout): PlacedWeight[] {
  return [...parts.values()].filter(({ trainable }) => trainable)
}

function count({ shape }: Weight): number {
  return shape.reduce((size, dimension) => size * dimension, 1)
}

/** Bytes of all weights in the type that products read. */
export function weightBytes(layout: ParameterLayout, dtype: ComputeDtype): number {
  return dtype === 'f32' ? layout.bytes : layout.bytes / 2
}

/** Places parameters as the layout says in one storage. */
export function placeParameters<S extends string>(layout: ParameterLayout, storage: S): (tensor: Tensor) => Placement<S> {
  return ({ name, dtype }) => {
    const { offset } = layout.parameters.get(name)!
    return { storage, offset: dtype === 'f32' ? offset : offset / 2 }
  }
}
