import { Tokenizer } from 'tokenizers'
import { Random } from '../../../../lib/random/random.js'

/** The ids of texts as Hugging Face's tokenizers makes them, in Rust: the reference that ours are held against. */
export async function referenceIds(tokenizer: Tokenizer, texts: readonly string[]): Promise<number[][]> {
  const ids: number[][] = []
  for (let start = 0; start < texts.length; start += 1000) {
    // the library takes half a surrogate pair for U+FFFD only where a Buffer would too
    const wellFormed = texts.slice(start, start + 1000).map((text) => Buffer.from(text).toString())
    for (const encoding of await tokenizer.encodeBatch(wellFormed, { addSpecialTokens: false })) ids.push(encoding.getIds())
  }
  return ids
}

/** The texts for which ids are not the reference's, with both. */
export async function differences(
  tokenizer: Tokenizer,
  texts: readonly string[],
  encode: (text: string) => readonly number[],
): Promise<{ text: string; received: readonly number[]; expected: readonly number[] }[]> {
  const reference = await referenceIds(tokenizer, texts)
  return texts
    .map((text, index) => ({ text, received: encode(text), expected: reference[index]! }))
    .filter(({ received, expected }) => received.length !== expected.length || received.some((id, t) => id !== expected[t]))
}

/**
 * A tokenizer whose ids are those of `definition` with special tokens taken for text (`encode_special_tokens` in Rust, which
 * the package for Node lacks): here they are called by names that no text has. The reference numbers added tokens by itself.
 */
export function withoutSpecialTokens(definition: { added_tokens: { content: string; special: boolean }[] }): Tokenizer {
  const added = definition.added_tokens.map((token, index) =>
    token.special ? { ...token, content: `\u{10fffd}${index}` } : token,
  )
  return Tokenizer.fromString(JSON.stringify({ ...definition, added_tokens: added }))
}

/** Blocks of code points that are cut, composed or encoded in different ways. */
const blocks: readonly (readonly [number, number])[] = [
  [0x00, 0x1f],
  [0x20, 0x7e],
  [0x80, 0x24f],
  [0x300, 0x36f],
  [0x370, 0x8ff],
  [0x900, 0x1cff],
  [0x1100, 0x11ff],
  [0x1ab0, 0x1aff],
  [0x2000, 0x206f],
  [0x2100, 0x2bff],
  [0x3000, 0x33ff],
  [0x4e00, 0x9fff],
  [0xa000, 0xd7a3],
  [0xd800, 0xdfff],
  [0xe000, 0xffff],
  [0x10000, 0x11fff],
  [0x12000, 0x16fff],
  [0x1d000, 0x1efff],
  [0x1f000, 0x1faff],
  [0x20000, 0x323af],
  [0x10000, 0x10ffff],
]

const fragments = [
  ...[' ', '  ', '    ', '\n', '\r\n', '\n\n', '\t', ' \n', '\u00a0', '\u0085', '\u2028', '\u3000', '\ufeff', '\u200d', '\0'],
  ...["'s", "'S", "'\u017f", "'LL", "'ve", "'Re", "'d", "'", 'The', ' the', 'abc', '12345', '٣٤٥', '½', 'Ⅻ', '!!!', '...', '—'],
  ...['👩‍👩‍👧', '🏳️‍🌈', '👍🏽', 'e\u0301', '\u0301\u0323', '\u0323\u0301', '\u1100\u1161\u11a8', '가', '한글', '数学', 'ﷺ', 'ﬁ'],
  ...['<|im_start|>', '<|im_end|>', '<|im_', 'end|>', '<|', '|>', '<think>', '</think>', '<tool_call>', '<|fim_prefix|>'],
  ...['<|begin_of_text|>', '<|eot_id|>', '<|reserved_special_token_12|>', '$x^2$', '\\frac{1}{2}', '\\boxed{', '#### 7'],
]

/** Texts of all kinds of characters, the same for the same seed. */
export function randomTexts(seed: number, count: number): string[] {
  const random = new Random(seed, 0)
  const character = ([from, to]: readonly [number, number]) => {
    const code = from + random.below(to - from + 1)
    return code > 0xffff ? String.fromCodePoint(code) : String.fromCharCode(code)
  }
  return Array.from({ length: count }, () => {
    const block = random.pick(blocks)
    let text = ''
    for (let left = 1 + random.below(12); left > 0; left--) {
      const kind = random.below(10)
      if (kind < 3) text += random.pick(fragments)
      else if (kind < 7) text += character(block)
      else if (kind < 9) text += character(random.pick(blocks))
      else text += text.slice(-2).repeat(random.below(5))
    }
    return text
  })
}
