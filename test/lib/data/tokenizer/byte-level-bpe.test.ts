import t from 'tap'
import type { JsonObject } from '../../../../lib/config/json-object.js'
import { readAddedTokens } from '../../../../lib/data/tokenizer/added-tokens.js'
import { ByteLevelBpe } from '../../../../lib/data/tokenizer/byte-level/byte-level-bpe.js'
import { ByteLevelTokenizer } from '../../../../lib/data/tokenizer/byte-level/byte-level-tokenizer.js'
import { byteLevelTokenizer } from '../../../../lib/model/byte-tokenizer.js'

/** The definition of a tokenizer of bytes and `ab`, with some of its parts replaced; `model` and `vocab` are merged. */
function definition(parts: JsonObject = {}, model: JsonObject = {}): JsonObject {
  const { tokenizerJson } = byteLevelTokenizer()
  const base = tokenizerJson.model as JsonObject & { vocab: Record<string, number> }
  return {
    ...tokenizerJson,
    added_tokens: [],
    ...parts,
    model: { ...base, vocab: { ...base.vocab, ab: 256 }, merges: ['a b'], ...model },
  }
}

const isKnown = (json: JsonObject): boolean => {
  const bpe = ByteLevelBpe.of(json)
  return bpe !== undefined && ByteLevelTokenizer.of(bpe, json, readAddedTokens(json.added_tokens)!) !== undefined
}

const qwenSplit =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
const split = { type: 'Split', pattern: { Regex: qwenSplit }, behavior: 'Isolated', invert: false }
const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false }
const sequence = (...pretokenizers: JsonObject[]) => ({ pre_tokenizer: { type: 'Sequence', pretokenizers } })
const added = (token: JsonObject) => ({
  added_tokens: [
    { id: 257, content: '<x>', single_word: false, lstrip: false, rstrip: false, normalized: false, special: true, ...token },
  ],
})

t.test('only what is known to give the same ids is taken', async (t) => {
  const known: Record<string, JsonObject> = {
    'as it is': definition(),
    'without the newer keys': definition({}, { ignore_merges: undefined, byte_fallback: undefined, merges: [['a', 'b']] }),
    'empty affixes': definition({}, { continuing_subword_prefix: '', end_of_word_suffix: '', dropout: 0 }),
    NFC: definition({ normalizer: { type: 'NFC' } }),
    'a split of its own': definition(sequence(split, byteLevel)),
    'added tokens': definition(added({})),
  }
  for (const [name, json] of Object.entries(known)) t.ok(isKnown(JSON.parse(JSON.stringify(json))), name)

  const unknown: Record<string, JsonObject> = {
    'another normalizer': definition({ normalizer: { type: 'NFKC' } }),
    'another decoder': definition({ decoder: { type: 'Metaspace' } }),
    'no decoder': definition({ decoder: null }),
    'no pre-tokenizer': definition({ pre_tokenizer: null }),
    'a prefix space': definition({ pre_tokenizer: { ...byteLevel, use_regex: true, add_prefix_space: true } }),
    'no splitting': definition({ pre_tokenizer: byteLevel }),
    'a splitting that is not written': definition(sequence(split, { ...byteLevel, use_regex: true })),
    'another pattern': definition(sequence({ ...split, pattern: { Regex: '\\p{L}+' } }, byteLevel)),
    'a pattern that is text': definition(sequence({ ...split, pattern: { String: qwenSplit } }, byteLevel)),
    'another behavior': definition(sequence({ ...split, behavior: 'Removed' }, byteLevel)),
    'an inverted pattern': definition(sequence({ ...split, invert: true }, byteLevel)),
    'three pre-tokenizers': definition(sequence(split, split, byteLevel)),
    'another model': definition({}, { type: 'WordPiece' }),
    'an unknown key': definition({}, { new_option: false }),
    dropout: definition({}, { dropout: 0.1 }),
    'a subword prefix': definition({}, { continuing_subword_prefix: '##' }),
    'a missing byte': definition({}, { vocab: { a: 0, b: 1, ab: 2 } }),
    'two tokens with one id': definition({}, { vocab: { ...(definition().model as { vocab: JsonObject }).vocab, abc: 256 } }),
    'a merge without its token': definition({}, { merges: ['a c'] }),
    'a merge of three': definition({}, { merges: ['a b c'] }),
    'a merge of nothing': definition({}, { merges: [' ab'] }),
    'a merge that is none': definition({}, { merges: [7] }),
    'an added token with another id than the reference gives it': definition(added({ id: 300 })),
    'a special token in the normalized text': definition({ normalizer: { type: 'NFC' }, ...added({ normalized: true }) }),
  }
  for (const [name, json] of Object.entries(unknown)) t.notOk(isKnown(json), name)
})

t.test('added tokens that are malformed', async (t) => {
  t.same(readAddedTokens(undefined), [])
  for (const list of [
    {},
    [null],
    [{ id: 1 }],
    [{ id: 'x', content: 'a' }],
    [{ id: 1, content: '' }],
    [{ id: 1, content: 'a', lstrip: 1 }],
  ]) {
    t.equal(readAddedTokens(list), undefined, JSON.stringify(list))
  }
})

t.test('merging', async (t) => {
  const { vocab } = definition().model as { vocab: Record<string, number> }
  const encode = (json: JsonObject, text: string) => {
    const ids: number[] = []
    ByteLevelBpe.of(json)!.encode(text, 0, text.length, ids)
    return ids
  }
  const more = { ...vocab, ab: 256, bc: 257, abc: 258, aa: 259, aaaa: 260 }
  t.same(encode(definition({}, { vocab: more, merges: ['b c', 'a b', 'a bc'] }), 'abcab'), [258, 256], 'the lowest rank first')
  t.same(encode(definition({}, { vocab: more, merges: ['a b', 'b c'] }), 'abc'), [256, 0x63])
  t.same(
    encode(definition({}, { vocab: more, merges: ['a a', 'aa aa'] }), 'a'.repeat(7)),
    [260, 259, 0x61],
    'the first of equals',
  )
  t.same(
    encode(definition({}, { vocab: more, merges: ['a b', 'b c', 'a b'] }), 'abc'),
    [0x61, 257],
    'of a merge listed twice the last',
  )
  t.same(
    encode(definition({}, { vocab: more, merges: [], ignore_merges: true }), 'abc ab'),
    [258, 0x20, 0x61, 0x62],
    'whole words only',
  )
  t.same(encode(definition(), '\ud83d!'), [0xef, 0xbf, 0xbd, 0x21], 'half a surrogate pair is U+FFFD')
})
