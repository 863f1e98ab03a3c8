import * as v from 'valibot'
import { showValue } from '../config/show-value.js'
import { Random } from '../data/random.js'
import { ConfigError } from '../errors.js'

/** How tokens are chosen, and when an answer ends. */
export interface SamplingOptions {
  /** 0: always the most probable token. */
  temperature: number
  /** Chooses among so many of the most probable tokens; 0: among all. */
  topK: number
  /** Chooses among the most probable tokens that together have this probability. */
  topP: number
  /** Leaves out tokens with less than this share of the probability of the most probable one. */
  minP: number
  /** Divides the scores of tokens that the prompt or the answer has by this, or multiplies them where they are negative; 1: does not. */
  repetitionPenalty: number
  /** The most tokens of an answer. */
  maxNewTokens: number
  /** The answer ends before the first of these. */
  stop: string[]
  /** The same seed gives the same answer to a prompt, whatever else is being generated. */
  seed: number
}

const rules = {
  temperature: { schema: v.pipe(v.number(), v.finite(), v.minValue(0)), expected: 'a number of at least 0' },
  topK: { schema: v.pipe(v.number(), v.safeInteger(), v.minValue(0)), expected: 'a whole number of at least 0' },
  topP: { schema: v.pipe(v.number(), v.gtValue(0), v.maxValue(1)), expected: 'a number above 0 and at most 1' },
  minP: { schema: v.pipe(v.number(), v.minValue(0), v.maxValue(1)), expected: 'a number from 0 to 1' },
  repetitionPenalty: { schema: v.pipe(v.number(), v.finite(), v.gtValue(0)), expected: 'a number above 0' },
  maxNewTokens: { schema: v.pipe(v.number(), v.safeInteger(), v.minValue(1)), expected: 'a whole number of at least 1' },
  stop: { schema: v.array(v.pipe(v.string(), v.minLength(1))), expected: 'a list of texts, none of them empty' },
  seed: { schema: v.pipe(v.number(), v.safeInteger()), expected: 'a whole number' },
} as const satisfies Record<keyof SamplingOptions, unknown>

export const defaultSampling: SamplingOptions = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  maxNewTokens: 1024,
  stop: [],
  seed: 42,
}

/** What is given over what a model recommends over the defaults. Throws a ConfigError CONFIG_INVALID_VALUE naming the option. */
export function samplingOf(
  given: Partial<SamplingOptions>,
  recommended: Partial<SamplingOptions> = {},
  name: (key: keyof SamplingOptions) => string = (key) => key,
): SamplingOptions {
  const options = { ...defaultSampling, ...withoutUndefined(recommended), ...withoutUndefined(given) }
  for (const key of Object.keys(options) as (keyof SamplingOptions)[]) {
    const rule = Object.hasOwn(rules, key) ? rules[key] : undefined
    const problem = rule === undefined ? `one of ${Object.keys(rules).join(', ')}` : rule.expected
    if (rule !== undefined && v.is(rule.schema, options[key])) continue
    const received = rule === undefined ? key : showValue(options[key])
    throw new ConfigError('CONFIG_INVALID_VALUE', `expected ${problem} for ${name(key)} but received ${received}`, { key })
  }
  return options
}

function withoutUndefined<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>
}

/**
 * A number in [0, 1) for the choice of token `index` of answer `sample`, with 24 bits, which a float32 holds. It depends on these
 * alone, so an answer does not change with what is generated beside it.
 */
export function uniformAt(seed: number, sample: number, index: number): number {
  return (new Random(seed, sample, index).uint32() >>> 8) / 2 ** 24
}
