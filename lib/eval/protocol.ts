import { ConfigError } from '../errors.js'
import { type SamplingOptions, samplingOf } from '../generate/sampling.js'

/** Protocol of an evaluation: the prompt, sampling, and the number of answers. */
export interface Protocol {
  /** Turn before the question; '' for none. */
  system: string
  sampling: SamplingOptions
  /** Answers to each problem. */
  samples: number
}

/** Overrides of a preset. */
export interface ProtocolOptions {
  preset?: string | undefined
  system?: string | undefined
  samples?: number | undefined
  sampling?: Partial<SamplingOptions>
}

interface Preset {
  system: string
  /** Samples per problem and sampling options for a set of that size. */
  of(problems: number): { samples: number; sampling: Partial<SamplingOptions> }
}

/**
 * `limo`: LIMO's own evaluation (arXiv:2502.03387): one greedy answer of at most 32,768 tokens; of sets of fewer than 50 problems, where
 * one more or less is two points, the mean over four answers at temperature 0.6.
 */
export const presets: Readonly<Record<string, Preset>> = {
  limo: {
    system: 'Please reason step by step, and put your final answer within \\boxed{}.',
    of: (problems) => {
      const few = problems < 50
      return { samples: few ? 4 : 1, sampling: { temperature: few ? 0.6 : 0, maxNewTokens: 32_768 } }
    },
  },
}

/** The protocol for a set of so many problems. Throws CONFIG_INVALID_VALUE. */
export function protocolFor(problems: number, options: ProtocolOptions = {}): Protocol {
  const { preset: name = 'limo', system, samples, sampling = {} } = options
  const preset = Object.hasOwn(presets, name) ? presets[name] : undefined
  if (preset === undefined)
    throw new ConfigError('CONFIG_INVALID_VALUE', `expected ${Object.keys(presets).join(' or ')} for preset but received ${name}`)
  const own = preset.of(problems)
  const protocol = {
    system: system ?? preset.system,
    sampling: samplingOf(sampling, own.sampling),
    samples: samples ?? own.samples,
  }
  if (!(Number.isInteger(protocol.samples) && protocol.samples >= 1))
    throw new ConfigError('CONFIG_INVALID_VALUE', `expected a whole number of at least 1 for samples but received ${samples}`)
  return protocol
}
