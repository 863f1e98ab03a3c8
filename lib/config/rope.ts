import * as v from 'valibot'
import type { ConfigError } from '../errors.js'
import { isJsonObject, type JsonObject } from './json-object.js'
import { invalid, unsupported } from './model-error.js'

const positive = v.pipe(v.number(), v.finite(), v.gtValue(0))

/** Change of RoPE's frequencies for contexts longer than those of pre-training; absent means none. */
export type RopeScaling =
  | {
      type: 'llama3'
      factor: number
      lowFreqFactor: number
      highFreqFactor: number
      originalMaxPositionEmbeddings: number
    }
  | { type: 'linear'; factor: number }
  | {
      type: 'yarn'
      factor: number
      originalMaxPositionEmbeddings: number
      /** Turns within the original context: pairs with more keep their angle, pairs with fewer than `betaSlow` have it divided. */
      betaFast: number
      betaSlow: number
      /** Whether the bounds between the pairs are rounded outwards to whole ones. */
      truncate: boolean
      /** Factor of cos and sin. */
      attentionFactor: number
    }

interface Rope {
  theta: number
  scaling?: RopeScaling
}

/** Fields beside RoPE's settings that stand in for one that is left out there. */
interface RopeDefaults {
  ropeTheta: number | undefined
  maxPositionEmbeddings: number
}

/**
 * Reads RoPE's settings: `rope_theta` and `rope_scaling` (Transformers 4), or both inside `rope_parameters` (Transformers 5).
 * A file may have both, as long as they say the same: which one counts depends on the release of Transformers.
 */
export function readRope(json: JsonObject, defaults: RopeDefaults, place: string): Rope {
  const { ropeTheta } = defaults
  if (json.rope_parameters == null) return readSettings('rope_scaling', json.rope_scaling ?? {}, defaults, place)
  const rope = readSettings('rope_parameters', json.rope_parameters, defaults, place)
  if (ropeTheta !== undefined && ropeTheta !== rope.theta)
    throw unsupported('rope_theta', ropeTheta, place, `the ${rope.theta} of rope_parameters`)
  if (json.rope_scaling != null) {
    const other = readSettings('rope_scaling', json.rope_scaling, { ...defaults, ropeTheta: rope.theta }, place)
    if (JSON.stringify(other) !== JSON.stringify(rope))
      throw unsupported('rope_scaling', json.rope_scaling, place, 'the same as in rope_parameters')
  }
  return rope
}

function readSettings(name: string, settings: unknown, defaults: RopeDefaults, place: string): Rope {
  // Transformers 5 can hold one set per kind of layer; with full attention alone there is one kind.
  const rope = isJsonObject(settings) && isJsonObject(settings.full_attention) ? settings.full_attention : settings
  if (!isJsonObject(rope)) throw invalid(name, 'an object', rope, place)
  const fields: RopeFields = {
    json: rope,
    number(field, fallback) {
      const value = rope[field] ?? fallback
      const result = v.safeParse(positive, value)
      if (!result.success) throw invalid(`${name}.${field}`, 'a positive number', value, place)
      return result.output
    },
    wrong: (field, expected, received = rope[field]) => invalid(`${name}.${field}`, expected, received, place),
  }
  if ((rope.partial_rotary_factor ?? 1) !== 1) {
    throw unsupported(`${name}.partial_rotary_factor`, rope.partial_rotary_factor, place, '1')
  }
  const theta = fields.number('rope_theta', defaults.ropeTheta ?? 10000)
  const type = rope.rope_type ?? rope.type ?? 'default'
  if (type === 'default') return { theta }
  if (type === 'linear') return { theta, scaling: { type, factor: fields.number('factor') } }
  if (type === 'llama3') return { theta, scaling: readLlama3(fields) }
  if (type !== 'yarn') throw unsupported(`${name}.rope_type`, type, place, 'default, linear, llama3, yarn')
  if (theta <= 1) throw fields.wrong('rope_theta', 'a number above 1 with yarn', theta)
  return { theta, scaling: readYarn(fields, defaults.maxPositionEmbeddings) }
}

/** The fields of one set of settings. */
interface RopeFields {
  json: JsonObject
  /** A positive number, or the fallback where the field is left out. */
  number(field: string, fallback?: number): number
  /** The error for a field with a wrong value. */
  wrong(field: string, expected: string, received?: unknown): ConfigError
}

function readLlama3({ number, wrong }: RopeFields): RopeScaling {
  const scaling: RopeScaling = {
    type: 'llama3',
    factor: number('factor'),
    lowFreqFactor: number('low_freq_factor'),
    highFreqFactor: number('high_freq_factor'),
    originalMaxPositionEmbeddings: number('original_max_position_embeddings'),
  }
  if (scaling.highFreqFactor <= scaling.lowFreqFactor)
    throw wrong('high_freq_factor', `a number above low_freq_factor (${scaling.lowFreqFactor})`)
  return scaling
}

/**
 * `factor` counts where there is one, as in Transformers 5. Some releases of Transformers 4 took max_position_embeddings /
 * original_max_position_embeddings instead, which is 1 for Qwen2.5 with the settings that its authors give.
 */
function readYarn({ json, number, wrong }: RopeFields, maxPositionEmbeddings: number): RopeScaling {
  // Zero is left out, as Transformers has it.
  const optional = (field: string) => (json[field] == null || json[field] === 0 ? undefined : number(field))
  const original = optional('original_max_position_embeddings')
  const factor = number('factor', original && maxPositionEmbeddings / original)
  if (factor < 1) throw wrong('factor', 'a number of at least 1', factor)
  const betaFast = optional('beta_fast') ?? 32
  const betaSlow = optional('beta_slow') ?? 1
  if (betaFast < betaSlow) throw wrong('beta_fast', `a number of at least beta_slow (${betaSlow})`, betaFast)
  const { truncate = true } = json
  if (typeof truncate !== 'boolean') throw wrong('truncate', 'true or false')
  const [mscale, mscaleAllDim] = [optional('mscale'), optional('mscale_all_dim')]
  const magnitude = (weight: number) => 0.1 * weight * Math.log(factor) + 1
  const ownFactor = mscale && mscaleAllDim ? magnitude(mscale) / magnitude(mscaleAllDim) : magnitude(1)
  const attentionFactor = number('attention_factor', ownFactor)
  const originalMaxPositionEmbeddings = original ?? maxPositionEmbeddings
  return { type: 'yarn', factor, originalMaxPositionEmbeddings, betaFast, betaSlow, truncate, attentionFactor }
}

/**
 * The angle by which RoPE turns pair i of a head per position: theta^(-2i/D), `[headDim / 2]`.
 *
 * `linear` divides every angle by the factor (position interpolation, arXiv:2306.15595).
 *
 * `llama3` (Llama 3.1's `apply_scaling`; Transformers' `_compute_llama3_parameters`) goes by the wavelength w = 2π / angle
 * against the original context N: w < N / high keeps the angle, w > N / low divides it by the factor, and between the two
 * s = (N / w - low) / (high - low) blends them: (1 - s) · angle / factor + s · angle.
 *
 * `yarn` (arXiv:2309.00071; Transformers' `_compute_yarn_parameters`) blends by the pair's number: pairs up to the one that makes
 * betaFast turns in the original context keep the angle, pairs from the one that makes betaSlow turns on divide it by the factor,
 * and between the two the share of the divided angle grows linearly.
 */
export function rotaryInverseFrequencies(config: {
  headDim: number
  ropeTheta: number
  ropeScaling?: RopeScaling
}): Float32Array {
  const { headDim, ropeTheta, ropeScaling } = config
  const angles = Array.from({ length: headDim / 2 }, (_, i) => ropeTheta ** ((-2 * i) / headDim))
  if (ropeScaling === undefined) return Float32Array.from(angles)
  const { factor } = ropeScaling
  const kept = keptShare(ropeScaling, headDim, ropeTheta)
  return Float32Array.from(angles, (angle, i) => {
    const share = kept(angle, i)
    // The ends are exact: neither is rounded by a product with 0 or 1.
    if (share === 1) return angle
    return share === 0 ? angle / factor : ((1 - share) * angle) / factor + share * angle
  })
}

const clamp = (share: number) => Math.min(Math.max(share, 0), 1)

/** The share of the angle of pair i that is not divided by the factor. */
function keptShare(scaling: RopeScaling, headDim: number, theta: number): (angle: number, i: number) => number {
  if (scaling.type === 'linear') return () => 0
  const { originalMaxPositionEmbeddings: context } = scaling
  if (scaling.type === 'llama3') {
    const { lowFreqFactor: low, highFreqFactor: high } = scaling
    return (angle) => clamp(((context * angle) / (2 * Math.PI) - low) / (high - low))
  }
  const { betaFast, betaSlow, truncate } = scaling
  // The pair, a fraction, that makes so many turns in the original context.
  const pairOf = (turns: number) => (headDim * Math.log(context / (turns * 2 * Math.PI))) / (2 * Math.log(theta))
  const [fast, slow] = [pairOf(betaFast), pairOf(betaSlow)]
  // Transformers' bound is headDim − 1 although there are headDim / 2 pairs.
  const first = Math.max(truncate ? Math.floor(fast) : fast, 0)
  const last = Math.min(truncate ? Math.ceil(slow) : slow, headDim - 1)
  const width = last === first ? 0.001 : last - first
  return (_, i) => 1 - clamp((i - first) / width)
}

/** The longest context that a model is made for: YaRN stretches the original one. */
export function longestContext({
  maxPositionEmbeddings,
  ropeScaling,
}: {
  maxPositionEmbeddings: number
  ropeScaling?: RopeScaling
}): number {
  if (ropeScaling?.type !== 'yarn') return maxPositionEmbeddings
  return Math.max(maxPositionEmbeddings, Math.floor(ropeScaling.originalMaxPositionEmbeddings * ropeScaling.factor))
}

/**
 * The factor of attention's scores: 1 / √headDim and, with YaRN, the square of the attention factor. Transformers multiplies cos and
 * sin by that factor, and so queries and keys, whose products are the only use of either: multiplying the scores is the same,
 * without rounding the keys once more.
 */
export function attentionScale({ headDim, ropeScaling }: { headDim: number; ropeScaling?: RopeScaling }): number {
  const attentionFactor = ropeScaling?.type === 'yarn' ? ropeScaling.attentionFactor : 1
  return attentionFactor ** 2 / Math.sqrt(headDim)
}
