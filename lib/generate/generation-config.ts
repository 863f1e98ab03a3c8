import { join } from 'node:path'
import type { JsonObject } from '../config/json-object.js'
import type { ModelConfig } from '../config/model-config.js'
import { showValue } from '../config/show-value.js'
import { readJsonObject, type TextTokenizer } from '../data/tokenizer/tokenizer.js'
import { ConfigError } from '../errors.js'
import type { SamplingOptions } from './sampling.js'

/** Reads keys of a `generation_config.json`; undefined where a key is absent or null. Throws CONFIG_INVALID_VALUE. */
type ReadKey = <T>(key: string, expected: string, fits: (value: unknown) => boolean) => T | undefined

const isId = (value: unknown) => Number.isInteger(value) && (value as number) >= 0

async function openGenerationConfig(folder: string): Promise<ReadKey> {
  const path = join(folder, 'generation_config.json')
  const json: JsonObject = (await readJsonObject(path)) ?? {}
  return <T>(key: string, expected: string, fits: (value: unknown) => boolean): T | undefined => {
    const value = json[key]
    if (value === undefined || value === null) return undefined
    if (fits(value)) return value as T
    throw new ConfigError('CONFIG_INVALID_VALUE', `${path}: expected ${expected} for ${key} but received ${showValue(value)}`, {
      file: path,
      key,
    })
  }
}

function endIdsOf(read: ReadKey, model: ModelConfig): number[] {
  const ends = read<number | number[]>('eos_token_id', 'a token id or a list of them', (value) =>
    Array.isArray(value) ? value.every(isId) : isId(value),
  )
  return ends !== undefined ? [ends].flat() : [...(model.eosTokenId ?? [])]
}

/**
 * Tokens that end an answer by a folder's generation_config.json or, without one, its config.json: all that Hugging Face's generate
 * knows of. Throws as {@link readGenerationConfig}.
 */
export async function readEndIds(folder: string, model: ModelConfig): Promise<number[]> {
  return endIdsOf(await openGenerationConfig(folder), model)
}

/** Generation settings of a model folder. */
export interface GenerationConfig {
  /** Recommended sampling and ends of answers: `generation_config.json`. */
  sampling: Partial<SamplingOptions>
  /** Tokens that end an answer. */
  endIds: ReadonlySet<number>
  /** The token that a text begins with, where the model has one. */
  bosId: number | undefined
  /** Whether plain-text prompts begin with it. */
  addsBos: boolean
}

/** Throws a ConfigError CONFIG_INVALID_VALUE for a `generation_config.json` with a wrong value, and TOKENIZER_MALFORMED. */
export async function readGenerationConfig(
  folder: string,
  model: ModelConfig,
  tokenizer: TextTokenizer,
): Promise<GenerationConfig> {
  const read = await openGenerationConfig(folder)
  const number = (key: string, least: number, most = Number.POSITIVE_INFINITY) =>
    read<number>(
      key,
      `a number from ${least}${most === Number.POSITIVE_INFINITY ? '' : ` to ${most}`}`,
      (value) => typeof value === 'number' && value >= least && value <= most,
    )
  const doSample = read<boolean>('do_sample', 'true or false', (value) => typeof value === 'boolean') ?? false
  const bos = read<number>('bos_token_id', 'a token id', isId)
  const tokenId = (name: string) => {
    const token = tokenizer.specialTokens[name]
    return token === undefined ? undefined : tokenizer.tokenId(token)
  }
  const eosOfTokenizer = tokenId('eos_token')
  const endIds = new Set(endIdsOf(read, model))
  // A chat model's tokenizer names the end-of-turn token; its config.json, copied from the base model, may not.
  if (eosOfTokenizer !== undefined) endIds.add(eosOfTokenizer)
  const temperature = number('temperature', 0)
  const maxNewTokens = read<number>('max_new_tokens', 'a whole number from 1', (value) => isId(value) && value !== 0)
  const isText = (value: unknown) => typeof value === 'string' && value !== ''
  const stop = read<string | string[]>('stop_strings', 'a text or a list of texts, none of them empty', (value) =>
    Array.isArray(value) ? value.every(isText) : isText(value),
  )
  return {
    sampling: {
      // Without do_sample Hugging Face's generate is greedy, whatever else is said.
      temperature: doSample ? (temperature ?? 1) : 0,
      topK: doSample ? (number('top_k', 0) ?? 50) : 0,
      topP: (doSample && number('top_p', Number.MIN_VALUE, 1)) || 1,
      minP: (doSample && number('min_p', 0, 1)) || 0,
      repetitionPenalty: number('repetition_penalty', Number.MIN_VALUE) ?? 1,
      ...(maxNewTokens !== undefined && { maxNewTokens }),
      ...(stop !== undefined && { stop: [stop].flat() }),
    },
    endIds,
    bosId: bos ?? model.bosTokenId ?? tokenId('bos_token'),
    addsBos: await addsBos(folder),
  }
}

/** Whether Hugging Face's tokenizer adds it: by the post-processor of `tokenizer.json`, or by `add_bos_token`. */
async function addsBos(folder: string): Promise<boolean> {
  const config = (await readJsonObject(join(folder, 'tokenizer_config.json'))) ?? {}
  if (typeof config.add_bos_token === 'boolean') return config.add_bos_token
  const { post_processor: processor } = ((await readJsonObject(join(folder, 'tokenizer.json'))) ?? {}) as {
    post_processor?: JsonObject | null
  }
  const parts = [processor, ...(Array.isArray(processor?.processors) ? (processor.processors as JsonObject[]) : [])]
  return parts.some(
    (part) => part?.type === 'TemplateProcessing' && Array.isArray(part.single) && 'SpecialToken' in Object(part.single[0]),
  )
}
