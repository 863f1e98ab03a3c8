import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isJsonObject, type JsonObject, jsonProblem } from '../../config/json-object.js'
import { showValue } from '../../config/show-value.js'
import { DataError } from '../../errors.js'
import { type AddedToken, AddedTokenFinder, readAddedTokens, withConfiguredTokens } from './added-tokens.js'
import { ByteLevelBpe } from './byte-level/byte-level-bpe.js'
import { ByteLevelTokenizer } from './byte-level/byte-level-tokenizer.js'
import { LibraryTokenizer } from './library-tokenizer.js'
import { SpelledTokens } from './spelled-tokens.js'
import type { Before, TokenizerCore } from './tokenizer-core.js'

/** A piece of a text that is tokenized on its own. */
export interface TextSegment {
  text: string
  /**
   * Positions in `text` at which a special token is spelled out that is none, or inside of which it is not whole: a special
   * token that begins at one of them, or covers it, is tokenized as any other text. In order.
   */
  spelledAt?: readonly number[] | undefined
}

/** Text to token ids and back, as a model folder's `tokenizer.json` defines it. */
export interface TextTokenizer {
  /**
   * The ids of a text. Nothing is added, but special tokens that are spelled in the text become their ids. Characters that
   * the vocabulary lacks become its unknown token or, where it has none, are left out, as in Hugging Face's tokenizers.
   */
  encode(text: string): number[]
  /**
   * The ids of consecutive pieces of one text, each tokenized on its own. A piece gets a prefix space where the tokenizer gives the
   * whole text one there: at its beginning, and with some tokenizers after each added token.
   */
  encodeSegments(segments: readonly TextSegment[]): number[][]
  /** The text of token ids, special tokens included. */
  decode(ids: ArrayLike<number>): string
  /** One more than the largest id. */
  vocabSize: number
  /** `bos_token`, `eos_token`, … as `tokenizer_config.json` names them. */
  specialTokens: Record<string, string>
  /** Finds special tokens that are spelled out in a text. */
  spelledTokens: SpelledTokens
  tokenId(token: string): number | undefined
  isSpecial(id: number): boolean
}

/**
 * Loads `tokenizer.json` and, where there is one, `tokenizer_config.json`. Throws TOKENIZER_MALFORMED.
 *
 *     const tokenizer = await loadTokenizer('models/Qwen2.5-0.5B-Instruct')
 *     tokenizer.encode('<|im_start|>user\n')   // [151644, 872, 198]
 */
export async function loadTokenizer(folder: string): Promise<TextTokenizer> {
  const path = join(folder, 'tokenizer.json')
  const written = await readJsonObject(path)
  if (written === undefined) {
    throw malformed(path, 'the file does not exist. Copy it from where the model came from')
  }
  const config = (await readJsonObject(join(folder, 'tokenizer_config.json'))) ?? {}
  const definition = withConfiguredTokens(written, config)
  const added = readAddedTokens(definition.added_tokens)
  if (added === undefined) throw malformed(path, 'added_tokens is no list of tokens with id and content')
  checkModel(definition.model, path)
  const strange = added.find(({ id }) => !isTokenId(id))
  if (strange !== undefined) throw malformed(path, `the id of ${JSON.stringify(strange.content)} is ${strange.id}, which is none`)
  return new FolderTokenizer(coreOf(definition, config, added, path), added, specialTokensOf(config))
}

/** More ids than any vocabulary has: lists are as long as the largest one. */
const MOST_TOKENS = 2 ** 24

function isTokenId(id: unknown): boolean {
  return Number.isInteger(id) && (id as number) >= 0 && (id as number) < MOST_TOKENS
}

/** What the model of a tokenizer has to have, whatever reads it. */
function checkModel(model: unknown, path: string): void {
  if (!isJsonObject(model)) throw malformed(path, 'it has no model')
  const { type, vocab, merges } = model
  if (isJsonObject(vocab)) {
    const token = Object.keys(vocab).find((token) => !isTokenId(vocab[token]))
    if (token !== undefined)
      throw malformed(path, `the id of ${JSON.stringify(token)} in model.vocab is ${showValue(vocab[token])}, which is none`)
  } else if (!Array.isArray(vocab))
    throw malformed(path, 'model.vocab is missing. Copy the file anew from where the model came from')
  if ((type === 'BPE' || merges !== undefined) && !Array.isArray(merges))
    throw malformed(path, 'model.merges is missing. Copy the file anew from where the model came from')
}

function coreOf(definition: JsonObject, config: JsonObject, added: AddedToken[], path: string): TokenizerCore {
  const bpe = ByteLevelBpe.of(definition)
  const core = bpe && ByteLevelTokenizer.of(bpe, definition, added)
  if (core !== undefined) return core
  try {
    return new LibraryTokenizer(definition, config, added, (problem) => malformed(path, problem))
  } catch (cause) {
    throw malformed(path, `it cannot be used: ${(cause as Error).message}`, cause)
  }
}

class FolderTokenizer implements TextTokenizer {
  readonly vocabSize: number
  readonly specialTokens: Record<string, string>
  readonly spelledTokens: SpelledTokens
  readonly #core: TokenizerCore
  readonly #special: ReadonlySet<number>
  readonly #added: ReadonlySet<number>
  readonly #specialFinder: AddedTokenFinder

  constructor(core: TokenizerCore, added: readonly AddedToken[], specialTokens: Record<string, string>) {
    const special = added.filter((token) => token.special)
    this.vocabSize = core.vocabSize
    this.specialTokens = specialTokens
    this.spelledTokens = new SpelledTokens(special.map(({ content }) => content))
    this.#core = core
    this.#added = new Set(added.map(({ id }) => id))
    this.#special = new Set(special.map(({ id }) => id))
    this.#specialFinder = new AddedTokenFinder(special)
  }

  encode(text: string): number[] {
    return this.#core.encode(text, 'nothing')
  }

  encodeSegments(segments: readonly TextSegment[]): number[][] {
    const pieces: number[][] = []
    let last: number | undefined
    for (const { text, spelledAt = [] } of segments) {
      const before = last === undefined ? 'nothing' : this.#added.has(last) ? 'token' : 'text'
      const piece = spelledAt.length === 0 ? this.#core.encode(text, before) : this.#encodeSpelled(text, spelledAt, before)
      pieces.push(piece)
      last = piece.at(-1) ?? last
    }
    return pieces
  }

  decode(ids: ArrayLike<number>): string {
    return ids.length === 0 ? '' : this.#core.decode(Array.from(ids))
  }

  tokenId(token: string): number | undefined {
    return this.#core.tokenId(token)
  }

  isSpecial(id: number): boolean {
    return this.#special.has(id)
  }

  /** The special tokens that are such become their ids, and the text between them is tokenized without looking for any. */
  #encodeSpelled(text: string, spelledAt: readonly number[], before: Before): number[] {
    const ids: number[] = []
    let next = 0
    const isSpelled = (start: number, end: number) => {
      while (next < spelledAt.length && spelledAt[next]! < start) next += 1
      return next < spelledAt.length && spelledAt[next]! < end
    }
    let written = 0
    let follows = before
    const writePlain = (end: number) => {
      if (end <= written) return
      for (const id of this.#core.encodePlain(text.slice(written, end), follows)) ids.push(id)
    }
    for (const { token, start, end } of this.#specialFinder.find(text, (_, from, to) => isSpelled(from, to))) {
      writePlain(start)
      ids.push(token.id)
      written = end
      follows = 'token'
    }
    writePlain(text.length)
    return ids
  }
}

/** The `*_token` entries of a `tokenizer_config.json`, which are strings or objects with their `content`. */
export function specialTokensOf(config: JsonObject): Record<string, string> {
  const tokens: Record<string, string> = {}
  for (const [key, value] of Object.entries(config)) {
    if (!key.endsWith('_token')) continue
    const content = isJsonObject(value) ? value.content : value
    if (typeof content === 'string') tokens[key] = content
  }
  return tokens
}

/** A JSON object in a file, or undefined where there is no such file. Throws TOKENIZER_MALFORMED. */
export async function readJsonObject(path: string): Promise<JsonObject | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw unreadable(path, `the file cannot be read (${(cause as Error).message})`, cause)
  }
  try {
    const value: unknown = JSON.parse(text)
    if (isJsonObject(value)) return value
  } catch (cause) {
    throw unreadable(path, `it is not valid JSON (${jsonProblem(text, cause)})`, cause)
  }
  throw unreadable(path, 'it holds something else')
}

/** Tokenizer, template and generation settings are files of their own, each named by its path. */
function unreadable(path: string, problem: string, cause?: unknown): DataError {
  const message = `${path}: expected a JSON object, but ${problem}.`
  return new DataError('TOKENIZER_MALFORMED', message, { file: path }, { cause })
}

function malformed(path: string, problem: string, cause?: unknown): DataError {
  return new DataError(
    'TOKENIZER_MALFORMED',
    `${path}: expected a tokenizer that can be used, but ${problem}.`,
    { file: path },
    { cause },
  )
}
