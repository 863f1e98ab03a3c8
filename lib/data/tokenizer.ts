import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as library from '@huggingface/tokenizers'
import { isJsonObject, type JsonObject } from '../config/json-object.js'
import { DataError } from '../errors.js'

/** Text to token ids and back, as a model folder's `tokenizer.json` defines it. */
export interface TextTokenizer {
  /**
   * The ids of a text. Nothing is added, but special tokens that are spelled in the text become their ids. Characters that
   * the vocabulary lacks become its unknown token or, where it has none, are left out, as in Hugging Face's tokenizers.
   */
  encode(text: string): number[]
  /** The ids of consecutive pieces of one text, each tokenized on its own; no piece but the first gets a prefix space. */
  encodeSegments(texts: readonly string[]): number[][]
  /** The text of token ids, special tokens included. */
  decode(ids: ArrayLike<number>): string
  /** One more than the largest id. */
  vocabSize: number
  /** `bos_token`, `eos_token`, … as `tokenizer_config.json` names them. */
  specialTokens: Record<string, string>
  tokenId(token: string): number | undefined
  isSpecial(id: number): boolean
}

type Json = JsonObject

// What is used of the library. Its own types import without file endings, which this module resolution does not follow.
type TextPart = (text: string) => unknown
interface LibraryTokenizer {
  normalizer: TextPart | null
  pre_tokenizer: TextPart | null
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[]; tokens: string[] }
  decode(ids: number[], options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean }): string
  token_to_id(token: string): number | undefined
  get_vocab(): Map<string, number>
}
const { Tokenizer, SequenceNormalizer, SequencePreTokenizer } = library as unknown as {
  Tokenizer: new (definition: Json, config: Json) => LibraryTokenizer
  SequenceNormalizer: new (config: { type: 'Sequence'; normalizers: Json[] }) => TextPart
  SequencePreTokenizer: new (config: { type: 'Sequence'; pretokenizers: Json[] }) => TextPart
}

interface AddedTokenJson {
  id: number
  content: string
  special?: boolean
}

/**
 * Loads `tokenizer.json` and, where there is one, `tokenizer_config.json`. Throws TOKENIZER_MALFORMED.
 *
 *     const tokenizer = await loadTokenizer('models/Qwen2.5-0.5B-Instruct')
 *     tokenizer.encode('<|im_start|>user\n')   // [151644, 872, 198]
 */
export async function loadTokenizer(folder: string): Promise<TextTokenizer> {
  const path = join(folder, 'tokenizer.json')
  const definition = await readJsonObject(path)
  if (definition === undefined) {
    throw malformed(path, 'the file does not exist. Copy it from where the model came from')
  }
  const config = (await readJsonObject(join(folder, 'tokenizer_config.json'))) ?? {}
  let tokenizer: LibraryTokenizer
  try {
    definition.added_tokens ??= []
    tokenizer = new Tokenizer(definition, config)
  } catch (cause) {
    throw malformed(path, `it cannot be used: ${(cause as Error).message}`, cause)
  }
  return wrap(tokenizer, definition, specialTokensOf(config), path)
}

function wrap(tokenizer: LibraryTokenizer, definition: Json, specialTokens: Record<string, string>, path: string): TextTokenizer {
  const vocabulary = tokenizer.get_vocab()
  let vocabSize = 0
  for (const id of vocabulary.values()) vocabSize = Math.max(vocabSize, id + 1)
  const special = new Set<number>()
  for (const token of definition.added_tokens as AddedTokenJson[]) if (token.special) special.add(token.id)
  const continuation = continuationOf(tokenizer, definition)

  const encode = (text: string): number[] => {
    if (text === '') return []
    const { ids, tokens } = tokenizer.encode(text, { add_special_tokens: false })
    const unknown = ids.findIndex((id) => !Number.isInteger(id))
    if (unknown < 0) return ids
    throw malformed(path, `it has no id for the token ${JSON.stringify(tokens[unknown])}`)
  }
  return {
    encode,
    encodeSegments(texts) {
      const pieces: number[][] = []
      let last: number | undefined
      for (const text of texts) {
        const continues = last !== undefined && !special.has(last)
        const piece = continues ? continuation(() => encode(text)) : encode(text)
        pieces.push(piece)
        last = piece.at(-1) ?? last
      }
      return pieces
    },
    decode: (ids) =>
      ids.length === 0
        ? '' // the library takes no empty list
        : tokenizer.decode(Array.from(ids), { skip_special_tokens: false, clean_up_tokenization_spaces: false }),
    vocabSize,
    specialTokens,
    tokenId: (token) => tokenizer.token_to_id(token),
    isSpecial: (id) => special.has(id),
  }
}

/**
 * Llama 2's tokenizer puts a space before every text. A piece that continues a text must not get one: the model, which
 * continues its prompt token by token, never sees it. So the tokenizer's prefix rules are taken out while `encode` runs.
 */
function continuationOf(tokenizer: LibraryTokenizer, definition: Json): <T>(encode: () => T) => T {
  const normalizers = flatten(definition.normalizer, 'normalizers')
  const preTokenizers = flatten(definition.pre_tokenizer, 'pretokenizers')
  const addsPrefix = (part: Json) =>
    part.add_prefix_space === true || part.prepend_scheme === 'always' || part.prepend_scheme === 'first'
  if (!normalizers.some((part) => part.type === 'Prepend') && !preTokenizers.some(addsPrefix)) return (encode) => encode()

  const plainNormalizer = new SequenceNormalizer({
    type: 'Sequence',
    normalizers: normalizers.filter((part) => part.type !== 'Prepend'),
  })
  const plainPreTokenizer = new SequencePreTokenizer({
    type: 'Sequence',
    pretokenizers: preTokenizers.map((part) => ({ ...part, add_prefix_space: false, prepend_scheme: 'never' })),
  })
  const { normalizer, pre_tokenizer } = tokenizer
  return (encode) => {
    if (normalizer !== null) tokenizer.normalizer = plainNormalizer
    if (pre_tokenizer !== null) tokenizer.pre_tokenizer = plainPreTokenizer
    try {
      return encode()
    } finally {
      tokenizer.normalizer = normalizer
      tokenizer.pre_tokenizer = pre_tokenizer
    }
  }
}

/** The parts of a normalizer or pre-tokenizer, in order, with sequences inside it taken apart. */
function flatten(part: unknown, sequenceKey: string): Json[] {
  if (part == null) return []
  const { [sequenceKey]: parts } = part as Json
  return Array.isArray(parts) ? parts.flatMap((inner) => flatten(inner, sequenceKey)) : [part as Json]
}

/** The `*_token` entries of a `tokenizer_config.json`, which are strings or objects with their `content`. */
export function specialTokensOf(config: Json): Record<string, string> {
  const tokens: Record<string, string> = {}
  for (const [key, value] of Object.entries(config)) {
    if (!key.endsWith('_token')) continue
    const content = typeof value === 'object' && value !== null ? (value as Json).content : value
    if (typeof content === 'string') tokens[key] = content
  }
  return tokens
}

/** A JSON object in a file, or undefined where there is no such file. Throws TOKENIZER_MALFORMED. */
export async function readJsonObject(path: string): Promise<Json | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw malformed(path, `the file cannot be read (${(cause as Error).message})`, cause)
  }
  try {
    const value: unknown = JSON.parse(text)
    if (isJsonObject(value)) return value
  } catch (cause) {
    throw malformed(path, `it is not valid JSON (${(cause as Error).message})`, cause)
  }
  throw malformed(path, 'it does not hold a JSON object')
}

function malformed(path: string, problem: string, cause?: unknown): DataError {
  return new DataError(
    'TOKENIZER_MALFORMED',
    `${path}: expected a tokenizer that can be used, but ${problem}.`,
    { file: path },
    { cause },
  )
}
