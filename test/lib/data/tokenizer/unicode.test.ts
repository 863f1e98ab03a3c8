import t from 'tap'
import { nfcNormalizer, Tokenizer } from 'tokenizers'
import { compose } from '../../../../lib/data/tokenizer/byte-level/compose.js'
import { classOf, letter, lineBreak, number, space } from '../../../../lib/data/tokenizer/byte-level/unicode.js'
import { Random } from '../../../../lib/random/random.js'

const codePoints = Array.from({ length: 0x110000 }, (_, code) => code).filter((code) => code < 0xd800 || code > 0xdfff)
const show = (codes: Iterable<number>) => Array.from(codes, (code) => code.toString(16)).join(' ')

/** The code points that a class of Rust's regular expressions has. */
function members(pattern: string): Set<number> {
  const preTokenizer = Tokenizer.fromString(
    JSON.stringify({
      version: '1.0',
      added_tokens: [],
      pre_tokenizer: { type: 'Split', pattern: { Regex: pattern }, behavior: 'Removed', invert: true },
      model: { type: 'BPE', vocab: { a: 0 }, merges: [] },
    }),
  ).getPreTokenizer()!
  const found = new Set<number>()
  for (let start = 0; start < codePoints.length; start += 4096) {
    const text = String.fromCodePoint(...codePoints.slice(start, start + 4096))
    for (const [part] of preTokenizer.preTokenizeString(text)) for (const character of part) found.add(character.codePointAt(0)!)
  }
  return found
}

t.test('letters, numbers and white space are those of the reference, whatever the Unicode version of Node', async (t) => {
  for (const [pattern, kinds] of [
    ['\\p{L}', [letter]],
    ['\\p{N}', [number]],
    ['\\s', [space, lineBreak]],
    ['[\\r\\n]', [lineBreak]],
  ] as const) {
    const expected = members(pattern)
    const differ = codePoints.filter((code) => expected.has(code) !== (kinds as readonly number[]).includes(classOf[code]!))
    t.equal(show(differ), '', pattern)
  }
})

t.test('every character is composed as the reference does, beside other marks', async (t) => {
  const reference = nfcNormalizer()
  const contexts = [
    (c: string) => c,
    (c: string) => `a${c}\u0301`,
    (c: string) => `a\u0323${c}\u0301`,
    (c: string) => `a\u0301${c}\u0323`,
    (c: string) => `${c}\u0338\u0345`,
    (c: string) => `\u0345${c}\u0334`,
  ]
  for (const [index, context] of contexts.entries()) {
    const differ: number[] = []
    for (let start = 0; start < codePoints.length; start += 4096) {
      const block = codePoints.slice(start, start + 4096)
      const text = block.map((code) => context(String.fromCodePoint(code))).join('|')
      if (compose(text) === reference.normalizeString(text)) continue
      const differs = (c: string) => compose(c) !== reference.normalizeString(c)
      differ.push(...block.filter((code) => differs(context(String.fromCodePoint(code)))))
    }
    t.equal(show(differ), '', `context ${index}`)
  }
  // pairs that compose only since later versions of Unicode than the reference has
  for (const pair of [
    '\u{11935}\u{11930}',
    '\u{105d2}\u0307',
    '\u{1611e}\u{16129}\u{1611f}',
    '\u{16d63}\u{16d67}',
    '\u{113c2}\u{113b8}',
  ]) {
    t.equal(compose(pair), reference.normalizeString(pair))
  }
})

t.test('long runs of marks', async (t) => {
  const reference = nfcNormalizer()
  const marks = codePoints.map((code) => String.fromCodePoint(code)).filter((character) => /\p{M}/u.test(character))
  const random = new Random(7, 0)
  for (let round = 0; round < 60; round++) {
    const some = Array.from({ length: 1 + random.below(200) }, () => marks[random.below(round % 2 ? 110 : marks.length)]!)
    const run = Array.from({ length: 300 + random.below(400) }, () => random.pick(some)).join('')
    t.equal(compose(`xa${run}e\u0301`), reference.normalizeString(`xa${run}e\u0301`))
  }
  const many = `a${'\u0301\u0323'.repeat(200_000)}`
  t.equal(compose(many), `\u1ea1${'\u0323'.repeat(199_999)}${'\u0301'.repeat(200_000)}`)
})
