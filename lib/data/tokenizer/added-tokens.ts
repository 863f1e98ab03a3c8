import { isJsonObject, type JsonObject } from '../../config/json-object.js'

/** An entry of `added_tokens` in `tokenizer.json`: a token that is found in a text before anything else is done with it. */
export interface AddedToken {
  id: number
  content: string
  /** Only these are guarded: text that spells one out is not taken for it, where it comes from a record. */
  special: boolean
  /** Not found inside of a word. */
  singleWord: boolean
  /** Takes the white space before it, or after it. */
  lstrip: boolean
  rstrip: boolean
  /** Looked for in the normalized text rather than in the original. */
  normalized: boolean
}

/** A token found in a text, with the white space that it takes. */
export interface FoundToken {
  token: AddedToken
  start: number
  end: number
}

/** Undefined where an entry is not as Hugging Face's tokenizers writes it. */
export function readAddedTokens(list: unknown): AddedToken[] | undefined {
  if (list == null) return []
  const tokens = Array.isArray(list) ? list.map(readAddedToken) : [undefined]
  return tokens.includes(undefined) ? undefined : (tokens as AddedToken[])
}

function readAddedToken(entry: unknown): AddedToken | undefined {
  if (!isJsonObject(entry)) return undefined
  const { id, content, special, single_word, lstrip, rstrip, normalized } = entry as JsonObject & Record<string, unknown>
  const flags = [special, single_word, lstrip, rstrip, normalized]
  if (!Number.isInteger(id) || typeof content !== 'string' || content === '') return undefined
  if (!flags.every((flag) => flag === undefined || typeof flag === 'boolean')) return undefined
  return {
    id: id as number,
    content,
    special: special === true,
    singleWord: single_word === true,
    lstrip: lstrip === true,
    rstrip: rstrip === true,
    normalized: (normalized ?? special !== true) === true,
  }
}

/**
 * The definition with the tokens that `added_tokens_decoder` of `tokenizer_config.json` has beside its own, as Transformers adds them when it
 * loads a tokenizer. Tokens whose content or id is taken are left to `tokenizer.json`.
 */
export function withConfiguredTokens(definition: JsonObject, { added_tokens_decoder: decoder }: JsonObject): JsonObject {
  const { added_tokens: listed } = definition
  const own = Array.isArray(listed) ? listed : []
  if (!isJsonObject(decoder) || (listed != null && !Array.isArray(listed))) return definition
  const contents = new Set(own.map((token) => token?.content))
  const others = Object.entries(decoder).flatMap(([id, token]) =>
    isJsonObject(token) && typeof token.content === 'string' && !contents.has(token.content)
      ? [{ ...token, id: Number(id) }]
      : [],
  ) as { id: number; content: string }[]
  if (others.length === 0) return definition
  const vocab = isJsonObject(definition.model) && isJsonObject(definition.model.vocab) ? definition.model.vocab : {}
  const ids = new Set([...own.map((token) => token?.id), ...Object.values(vocab)])
  const isInVocab = ({ content, id }: (typeof others)[number]) => Object.hasOwn(vocab, content) && vocab[content] === id
  return { ...definition, added_tokens: [...own, ...others.filter((token) => isInVocab(token) || !ids.has(token.id))] }
}

/** Some of the added tokens, to be found as Hugging Face's tokenizers finds them: leftmost first, of those the longest. */
export class AddedTokenFinder {
  readonly #tokens: ReadonlyMap<string, AddedToken>
  readonly #pattern: RegExp | undefined

  /** By content; of duplicates the first counts. */
  constructor(tokens: readonly AddedToken[]) {
    this.#tokens = new Map(tokens.map((token) => [token.content, token] as const).reverse())
    this.#pattern = tokens.length === 0 ? undefined : new RegExp(anyOf([...this.#tokens.keys()]), 'g')
  }

  get isEmpty(): boolean {
    return this.#pattern === undefined
  }

  /** The tokens in a text, in order; those that `isText` says are ordinary text are passed over. */
  find(text: string, isText?: (token: AddedToken, start: number, end: number) => boolean): FoundToken[] {
    const found: FoundToken[] = []
    const pattern = this.#pattern
    if (pattern === undefined) return found
    let written = 0
    pattern.lastIndex = 0
    // not matchAll, which makes a copy of the pattern for each text
    for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
      const token = this.#tokens.get(match[0])!
      let start = match.index
      let end = start + match[0].length
      if (isText?.(token, start, end)) continue
      if (token.singleWord && (endsInWord(text.slice(0, start)) || startsWithWord(text.slice(end)))) continue
      if (token.lstrip) start = Math.max(written, startOfSpaceBefore(text, start))
      if (token.rstrip) end = endOfSpaceAfter(text, end)
      found.push({ token, start, end })
      written = end
    }
    return found
  }
}

/** A pattern for any of some texts, the longest that fits at a position. */
export function anyOf(texts: readonly string[]): string {
  const longestFirst = [...new Set(texts)].sort((a, b) => b.length - a.length)
  return longestFirst.map((text) => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')).join('|')
}

// The `\w` and `\s` of Rust's regular expressions, which single_word, lstrip and rstrip are defined by.
const startsWithWord = (text: string) => /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u.test(text)
const endsInWord = (text: string) => /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u.test(text.slice(-2))
const isSpace = (character: string) => /^\p{White_Space}$/u.test(character)

function startOfSpaceBefore(text: string, end: number): number {
  let start = end
  while (start > 0 && isSpace(text[start - 1]!)) start -= 1
  return start
}

function endOfSpaceAfter(text: string, start: number): number {
  let end = start
  while (end < text.length && isSpace(text[end]!)) end += 1
  return end
}
