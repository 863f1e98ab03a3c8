import * as v from 'valibot'
import { isJsonObject, type JsonObject } from './json-object.js'
import { invalid, unsupported } from './model-error.js'

const positive = v.pipe(v.number(), v.finite(), v.gtValue(0))

/** How RoPE's frequencies are changed for contexts longer than those of pre-training; absent means not at all. */
export type RopeScaling =
  | {
      type: 'llama3'
      factor: number
      lowFreqFactor: number
      highFreqFactor: number
      originalMaxPositionEmbeddings: number
    }
  | { type: 'linear'; factor: number }

interface Rope {
  theta: number
  scaling?: RopeScaling
}

/**
 * Reads RoPE's settings: `rope_theta` and `rope_scaling` (Transformers 4), or both inside `rope_parameters` (Transformers 5).
 * A file may have both, as long as they say the same: which one counts depends on the release of Transformers.
 */
export function readRope(json: JsonObject, ropeTheta: number | undefined, place: string): Rope {
  if (json.rope_parameters == null) return readSettings('rope_scaling', json.rope_scaling ?? {}, ropeTheta, place)
  const rope = readSettings('rope_parameters', json.rope_parameters, ropeTheta, place)
  if (ropeTheta !== undefined && ropeTheta !== rope.theta)
    throw unsupported('rope_theta', ropeTheta, place, `the ${rope.theta} of rope_parameters`)
  if (json.rope_scaling != null) {
    const other = readSettings('rope_scaling', json.rope_scaling, rope.theta, place)
    if (JSON.stringify(other) !== JSON.stringify(rope))
      throw unsupported('rope_scaling', json.rope_scaling, place, 'the same as in rope_parameters')
  }
  return rope
}

function readSettings(name: string, settings: unknown, ropeTheta: number | undefined, place: string): Rope {
  // Transformers 5 can hold one set per kind of layer; with full attention alone there is one kind.
  const rope = isJsonObject(settings) && isJsonObject(settings.full_attention) ? settings.full_attention : settings
  if (!isJsonObject(rope)) throw invalid(name, 'an object', rope, place)
  const number = (field: string, fallback?: number): number => {
    const value = rope[field] ?? fallback
    const result = v.safeParse(positive, value)
    if (!result.success) throw invalid(`${name}.${field}`, 'a positive number', value, place)
    return result.output
  }
  if ((rope.partial_rotary_factor ?? 1) !== 1) {
    throw unsupported(`${name}.partial_rotary_factor`, rope.partial_rotary_factor, place, '1')
  }
  const theta = number('rope_theta', ropeTheta ?? 10000)
  const type = rope.rope_type ?? rope.type ?? 'default'
  if (type === 'default') return { theta }
  if (type === 'linear') return { theta, scaling: { type, factor: number('factor') } }
  if (type !== 'llama3') throw unsupported(`${name}.rope_type`, type, place, 'default, linear, llama3')
  const scaling: RopeScaling = {
    type,
    factor: number('factor'),
    lowFreqFactor: number('low_freq_factor'),
    highFreqFactor: number('high_freq_factor'),
    originalMaxPositionEmbeddings: number('original_max_position_embeddings'),
  }
  if (scaling.highFreqFactor <= scaling.lowFreqFactor) {
    const above = `a number above low_freq_factor (${scaling.lowFreqFactor})`
    throw invalid(`${name}.high_freq_factor`, above, scaling.highFreqFactor, place)
  }
  return { theta, scaling }
}

/**
 * The angle by which RoPE turns pair i of a head per position: theta^(-2i/D), `[headDim / 2]`.
 *
 * `linear` divides every angle by the factor (position interpolation, arXiv:2306.15595). `llama3` (Llama 3.1's
 * `apply_scaling`; Transformers' `_compute_llama3_parameters`) goes by the wavelength w = 2π / angle against the original
 * context N: w < N / high keeps the angle, w > N / low divides it by the factor, and between the two
 * s = (N / w - low) / (high - low) blends them: (1 - s) · angle / factor + s · angle.
 */
export function rotaryInverseFrequencies(config: {
  headDim: number
  ropeTheta: number
  ropeScaling?: RopeScaling
}): Float32Array {
  const { headDim, ropeTheta, ropeScaling } = config
  return Float32Array.from({ length: headDim / 2 }, (_, i) => {
    const angle = ropeTheta ** ((-2 * i) / headDim)
    if (ropeScaling === undefined) return angle
    const { factor } = ropeScaling
    if (ropeScaling.type === 'linear') return angle / factor
    const { lowFreqFactor, highFreqFactor, originalMaxPositionEmbeddings } = ropeScaling
    const turns = (originalMaxPositionEmbeddings * angle) / (2 * Math.PI)
    if (turns > highFreqFactor) return angle
    if (turns < lowFreqFactor) return angle / factor
    const blend = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor)
    return ((1 - blend) * angle) / factor + blend * angle
  })
}
