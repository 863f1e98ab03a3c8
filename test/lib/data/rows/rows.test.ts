import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { parsePythonJson } from '../../../../lib/data/rows/python-json.js'
import { readRows } from '../../../../lib/data/rows/rows.js'
import type { DataError } from '../../../../lib/errors.js'
import { parquetFile } from '../../../parquet-files.js'
import { sharedPath } from '../../../shared-files.js'

function fileOf(test: Test, name: string, content: string | Uint8Array): string {
  const path = join(test.testdir(), name)
  writeFileSync(path, content)
  return path
}

async function valuesOf(path: string): Promise<unknown[]> {
  const values: unknown[] = []
  for await (const { value } of readRows(path)) values.push(value)
  return values
}

/** A zstd frame of raw (stored) blocks: what any packer may write for data that does not shrink. */
function zstdStored(content: Uint8Array): Uint8Array {
  const header = [0x28, 0xb5, 0x2f, 0xfd, 0b1010_0000, ...new Uint8Array(Uint32Array.of(content.length).buffer)]
  const blocks: Uint8Array[] = [Uint8Array.from(header)]
  const blockSize = 1 << 17
  for (let start = 0; start < content.length; start += blockSize) {
    const block = content.subarray(start, start + blockSize)
    const isLast = start + blockSize >= content.length ? 1 : 0
    blocks.push(new Uint8Array(Uint32Array.of((block.length << 3) | isLast).buffer).subarray(0, 3), block)
  }
  return Buffer.concat(blocks)
}

/** A zstd frame without data. */
function zstdSkippable(length: number, kind = 0): Uint8Array {
  return Buffer.concat([Uint8Array.of(0x50 + kind, 0x2a, 0x4d, 0x18), Uint8Array.from(Buffer.alloc(4 + length))]).fill(
    new Uint8Array(Uint32Array.of(length).buffer),
    4,
    8,
  )
}

const rows = [
  { question: 'a, "b"', solution: 'one\ntwo', answer: '2' },
  { question: 'ä €\u2028 😀', solution: ' ]}[{ \\" ', answer: '' },
  { question: 'x', solution: 'y'.repeat(700_000), answer: 'z' },
]
const csvCell = (text: string) => `"${text.replaceAll('"', '""')}"`
const csv = `question,solution,answer\n${rows.map((row) => Object.values(row).map(csvCell).join(',')).join('\n')}\n`
const jsonl = rows.map((row) => JSON.stringify(row)).join('\n')

t.test('the same rows from every format', async (t) => {
  const parquet = parquetFile(
    (['question', 'solution', 'answer'] as const).map((name) => ({ name, data: rows.map((row) => row[name]) })),
    2,
  )
  const files: Record<string, string | Uint8Array> = {
    'a.jsonl': jsonl,
    'with-blank-lines.jsonl': `\uFEFF\n${jsonl.replaceAll('\n', '\r\n\r\n')}\r\n`,
    'a.json': JSON.stringify(rows),
    'pretty.json': `\uFEFF ${JSON.stringify(rows, null, 2)}\n\n`,
    'a.csv': csv,
    'windows.csv': `\uFEFF${csv.replaceAll('"\n', '"\r\n')}`,
    'a.tsv': csv.replaceAll('","', '"\t"').replace('question,solution,answer', 'question\tsolution\tanswer'),
    'a.parquet': parquet,
    'a.jsonl.gz': gzipSync(jsonl),
    'two-members.jsonl.gz': Buffer.concat([gzipSync(jsonl.slice(0, 50)), gzipSync(jsonl.slice(50))]),
    'a.csv.gz': gzipSync(csv),
    'no-ending': gzipSync(JSON.stringify(rows)),
    'a.jsonl.zst': zstdStored(Buffer.from(jsonl)),
    'two-frames.json.zst': Buffer.concat([zstdStored(Buffer.from('[')), zstdStored(Buffer.from(JSON.stringify(rows).slice(1)))]),
    'pzstd.jsonl.zst': Buffer.concat([zstdSkippable(4), zstdStored(Buffer.from(jsonl))]),
    'skippable.jsonl.zst': Buffer.concat([
      ...[zstdSkippable(0, 15), zstdSkippable(300_000, 7), zstdStored(Buffer.from(jsonl.slice(0, 50)))],
      ...[zstdSkippable(1), zstdStored(Buffer.from(jsonl.slice(50))), zstdSkippable(9, 3)],
    ]),
  }
  for (const [name, content] of Object.entries(files)) t.same(await valuesOf(fileOf(t, name, content)), rows, name)
})

t.test('places', async (t) => {
  const places = async (name: string, content: string | Uint8Array) => {
    const found: unknown[] = []
    for await (const { place } of readRows(fileOf(t, name, content))) found.push([place.text, { ...place.details, file: '' }])
    return found
  }
  t.same(await places('a.jsonl', '{}\n\n{}'), [
    ['a.jsonl:1', { file: '', line: 1 }],
    ['a.jsonl:3', { file: '', line: 3 }],
  ])
  t.same(await places('a.json', '[{},\n {\n},{}\n]'), [
    ['a.json record 1', { file: '', record: 1, line: 1 }],
    ['a.json record 2', { file: '', record: 2, line: 2 }],
    ['a.json record 3', { file: '', record: 3, line: 3 }],
  ])
  t.same(
    (await places('a.csv', 'a,b\n1,"x\ny"\n\n2,3\n')).map((place) => (place as [string])[0]),
    ['a.csv:2', 'a.csv:5'],
    'where a row begins',
  )
})

t.test('values of Parquet are those of JSON', async (t) => {
  const file = parquetFile([
    { name: 'id', data: [1, '9007199254740993'], type: 'INT64' },
    { name: 'score', data: [0.5, null], type: 'DOUBLE' },
    { name: 'messages', data: [[{ role: 'user', content: 'a' }], []], type: 'JSON' },
  ])
  t.same(await valuesOf(fileOf(t, 'a.parquet', file)), [
    { id: 1, score: 0.5, messages: [{ role: 'user', content: 'a' }] },
    { id: '9007199254740993', score: null, messages: [] },
  ])
})

t.test('a malformed row is thrown, or told of and passed over', async (t) => {
  const latin1 = Buffer.concat([Buffer.from('{"a":1}\n{"a":"'), Buffer.from([0xe9]), Buffer.from('"}\n{"a":2}\n')])
  const cases: [string, string | Uint8Array, number[], number][] = [
    ['a.jsonl', '{"a":1}\n{"a":\n{"a":2}\n', [1, 2], 2],
    ['latin1.jsonl', latin1, [1, 2], 2],
    ['a.json', '[{"a":1},\n{"a" 5},\n{"a":2}]', [1, 2], 2],
    ['missing.json', '[{"a":1},,{"a":2}]', [1, 2], 1],
    ['comma.json', '[{"a":1},\n{"a":2},\n]', [1, 2], 3],
    ['no-comma.json', '[{"a":1}\n{"a":3},{"a":2}]', [2], 2],
    ['a.csv', 'a,b\n1,1\n2\n2,2\n', [1, 2], 3],
  ]
  for (const [name, content, kept, line] of cases) {
    const path = fileOf(t, name, content)
    await t.rejects(valuesOf(path), { name: 'DataError', code: 'DATA_MALFORMED', details: { file: path, line } }, name)
    const errors: DataError[] = []
    const values: number[] = []
    const onMalformed = (error: DataError) => errors.push(error)
    for await (const { value } of readRows(path, { onMalformed })) values.push(Number((value as { a: unknown }).a))
    t.same(values, kept, `${name}: the other rows`)
    t.match(errors, [{ code: 'DATA_MALFORMED', details: { line } }], `${name}: told of once`)
  }
})

t.test('CSV: one report a line, and a quote that is never closed', async (t) => {
  const read = async (content: string, name = 'a.csv') => {
    const errors: DataError[] = []
    const values: unknown[] = []
    const path = fileOf(t, name, content)
    const onMalformed = (error: DataError) => errors.push(error)
    const thrown = await (async () => {
      for await (const { value } of readRows(path, { onMalformed })) values.push(value)
    })().catch((error: unknown) => error)
    return { errors, values, thrown }
  }
  const inner = await read('a,b\n1,x "in" the "middle" "of"\n2,y\n')
  t.match(inner, { errors: { length: 1 }, values: [{ a: '2', b: 'y' }], thrown: undefined })
  t.match(inner.errors[0], { message: /^a\.csv:2: expected cells with quotes to be quoted as a whole/ })
  t.match(await read('a\tb\n5" screen\tx\n', 'a.tsv'), { errors: [], values: [{ a: '5" screen', b: 'x' }] })
  const open = await read('a,b\n1,x\n\n2,"y\n3,z\n4,w\n')
  t.match(open, {
    errors: [],
    values: [{ a: '1' }],
    thrown: { code: 'DATA_MALFORMED', message: /a\.csv:3: .*no row after it can be read/ },
  })
})

t.test('files that are broken as a whole', async (t) => {
  const parquet = parquetFile([{ name: 'a', data: ['x'.repeat(100)] }])
  const cases: [string, string | Uint8Array, string, RegExp][] = [
    ['open.json', '[{"a":1}', 'DATA_MALFORMED', /open\.json:1: expected one JSON array.* it is not closed/],
    ['more.json', '[{"a":1}]\n[', 'DATA_MALFORMED', /more\.json:2: .*received text after its end/],
    ['cut.jsonl.gz', gzipSync(jsonl).subarray(0, 200), 'DATA_MALFORMED', /expected gzip data but it is damaged or cut off/],
    ['cut.jsonl.zst', zstdStored(Buffer.from(jsonl)).subarray(0, 200), 'DATA_MALFORMED', /expected zstd data/],
    ['bad.jsonl.zst', Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xff, 0xff, 0xff]), 'DATA_MALFORMED', /expected zstd data/],
    ['cut.parquet', parquet.subarray(0, parquet.length - 20), 'DATA_MALFORMED', /expected Parquet/],
    ['twice.csv', 'a,a\n1,2\n', 'DATA_MALFORMED', /received a twice/],
    ['latin1.csv', Buffer.from([0x61, 0x0a, 0xe9, 0x0a]), 'DATA_MALFORMED', /latin1\.csv:1: .*UTF-8/],
    ['a.arrow', 'ARROW1\0\0', 'DATA_NOT_FOUND', /Arrow file.*Parquet/],
    ['twice.jsonl.gz', gzipSync(gzipSync(jsonl)), 'DATA_NOT_FOUND', /inside of gzip it is gzip again: unpack it/],
    ['utf16.jsonl', Buffer.from('\uFEFF{}', 'utf16le'), 'DATA_NOT_FOUND', /UTF-16: convert it/],
    ['a.zip', 'PK\u0003\u0004', 'DATA_NOT_FOUND', /zip archive: unpack it/],
  ]
  for (const [name, content, code, message] of cases) {
    await t.rejects(valuesOf(fileOf(t, name, content)), { name: 'DataError', code, message }, name)
  }
})

const sft = sharedPath('data', 'sft')
t.test('real rows in chunks of every kind', { skip: sft === undefined && 'shared/data is absent' }, async (t) => {
  const text = readFileSync(join(sft!, 'long-chains.jsonl'), 'utf8')
  const expected = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.same(await valuesOf(fileOf(t, 'a.json', JSON.stringify(expected, null, 1))), expected)
  t.same(await valuesOf(fileOf(t, 'a.jsonl.gz', gzipSync(text))), expected)
  t.same(await valuesOf(fileOf(t, 'a.jsonl.zst', zstdStored(Buffer.from(text)))), expected)
})

t.test('numbers that only Python writes', async (t) => {
  const text = '{"question":"is NaN, \\"Infinity\\" or \\\\","solution":"s","score":NaN,"more":[Infinity, -Infinity ,{"a":NaN}]}'
  const value = {
    question: 'is NaN, "Infinity" or \\',
    solution: 's',
    score: Number.NaN,
    more: [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, { a: Number.NaN }],
  }
  const lines = `${text}\n${text}\n`
  const files: Record<string, string | Uint8Array> = {
    'a.jsonl': lines,
    'a.json': `[${text},\n${text}]`,
    'a.jsonl.gz': gzipSync(lines),
    'a.jsonl.zst': zstdStored(Buffer.from(lines)),
  }
  for (const [name, content] of Object.entries(files)) t.same(await valuesOf(fileOf(t, name, content)), [value, value], name)
  t.same(await valuesOf(fileOf(t, 'row.jsonl', 'NaN\n-Infinity')), [Number.NaN, Number.NEGATIVE_INFINITY])
  for (const bad of [
    '{NaN:1}',
    '{"a":1Infinity}',
    '{"a":NaNs}',
    '{"a":-NaN}',
    '{"a":NaN,}',
    '{"a":NaN,"b}',
    '{"a":Infinity5}',
    'nan',
  ]) {
    await t.rejects(
      valuesOf(fileOf(t, 'bad.jsonl', `{"a":1}\n${bad}`)),
      { code: 'DATA_MALFORMED', message: /^bad\.jsonl:2: / },
      bad,
    )
  }
  t.same(await valuesOf(fileOf(t, 'marks.jsonl', '{"a":"\uFDD0\\uFDD1","b":NaN}')), [{ a: '\uFDD0\uFDD1', b: Number.NaN }])
})

t.test('whole numbers that a double does not keep are text of their digits', async (t) => {
  const kept: [json: string, value: unknown][] = [
    ['9007199254740991', 9007199254740991],
    ['9007199254740992', '9007199254740992'],
    ['-9007199254740993', '-9007199254740993'],
    ['12345678901234567890', '12345678901234567890'],
    [
      '[1,12345678901234567890 ,{"a":\n-10000000000000000000000}]',
      [1, '12345678901234567890', { a: '-10000000000000000000000' }],
    ],
    ['12345678901234567890.25', '12345678901234567890.25'],
    ['1234567890123456.5', 1234567890123456.5],
    ['0.1234567890123456', 0.1234567890123456],
    ['1e30', 1e30],
    ['"12345678901234567890, \\"12345678901234567890"', '12345678901234567890, "12345678901234567890'],
    ['[NaN, 12345678901234567890]', [Number.NaN, '12345678901234567890']],
  ]
  for (const [json, value] of kept) t.same(parsePythonJson(`{"a": ${json}}`), { a: value }, json)
  t.same(await valuesOf(fileOf(t, 'a.jsonl', '{"id":12345678901234567890}')), [{ id: '12345678901234567890' }])
  for (const bad of ['012345678901234567890', '12345678901234567890a', '1-12345678901234567890', '"b"12345678901234567890']) {
    const text = `{"a":1,\n"b":${bad}}`
    t.throws(() => parsePythonJson(text), { name: 'SyntaxError' }, bad)
    const messageOf = (parse: (text: string) => unknown) => {
      try {
        parse(text)
        return ''
      } catch (error) {
        return (error as Error).message
      }
    }
    t.equal(messageOf(parsePythonJson), messageOf(JSON.parse), 'with the positions of the text as it stands')
  }
})

t.test('a row that is nested without an end', async (t) => {
  const nested = (depth: number) => `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`
  t.same(parsePythonJson(nested(900)), JSON.parse(nested(900)))
  for (const depth of [2000, 300_000])
    t.throws(() => parsePythonJson(nested(depth)), { name: 'SyntaxError', message: /lists and objects more than 1000 deep/ })
  await t.rejects(valuesOf(fileOf(t, 'deep.jsonl', `{"a":1}\n${nested(300_000)}`)), {
    code: 'DATA_MALFORMED',
    message: /deep\.jsonl:2: .*more than 1000 deep/,
  })
})

t.test('a pointer of Git LFS instead of a file of rows', async (t) => {
  const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 12345\n'
  for (const name of ['a.jsonl', 'a.parquet', 'a.json', 'a.csv', 'a.jsonl.gz']) {
    const message = /pointer of Git LFS to the file\. Run "git lfs pull"/
    await t.rejects(valuesOf(fileOf(t, name, pointer)), { code: 'DATA_NOT_FOUND', message }, name)
  }
})
