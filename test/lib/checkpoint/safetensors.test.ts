import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readHeader } from '../../../lib/checkpoint/safetensors.js'
import { planShards, writeSafetensors } from '../../../lib/checkpoint/safetensors-writer.js'
import { sharedPath } from '../../shared-files.js'
import { countingTensor, failingTensor } from './writers.js'

function fileOf(test: Test, header: unknown, dataBytes: number, claimedBytes?: bigint): string {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(claimedBytes ?? BigInt(json.length))
  const path = join(test.testdir(), 'model.safetensors')
  writeFileSync(path, Buffer.concat([length, json, Buffer.alloc(dataBytes)]))
  return path
}

const entry = (begin: number, end: number, shape = [(end - begin) / 4]) => ({ dtype: 'F32', shape, data_offsets: [begin, end] })

t.test('what is written is read back', async (t) => {
  const path = join(t.testdir(), 'model.safetensors')
  const half = { ...countingTensor('c', [1]), dtype: 'BF16' as const, shape: [2] }
  await writeSafetensors(path, [half, countingTensor('a', [2, 3]), countingTensor('é"\n', []), countingTensor('none', [0, 4])], {
    format: 'pt',
  })
  const { entries, metadata } = await readHeader(path)
  t.same(metadata, { format: 'pt' })
  t.same([...entries.keys()].sort(), ['a', 'c', 'none', 'é"\n'].sort())
  const a = entries.get('a')!
  t.match(a, { name: 'a', dtype: 'F32', shape: [2, 3], file: path, byteLength: 24 })
  t.equal(a.byteOffset % 8, 0, 'the data is aligned')
  const bytes = readFileSync(path)
  t.same(
    [0, 1, 2, 3, 4, 5].map((i) => bytes.readFloatLE(a.byteOffset + 4 * i)),
    [1, 2, 3, 4, 5, 6],
  )
  t.equal(entries.get('c')!.byteOffset % 2, 0, 'wide dtypes come first')
  t.equal(bytes.length, statSync(path).size)
  const again = join(t.testdir(), 'again.safetensors')
  await writeSafetensors(again, [half, countingTensor('a', [2, 3]), countingTensor('é"\n', []), countingTensor('none', [0, 4])], {
    format: 'pt',
  })
  t.same(readFileSync(again), bytes, 'the same tensors give the same bytes')
})

t.test('a file without tensors', async (t) => {
  const path = join(t.testdir(), 'model.safetensors')
  await writeSafetensors(path, [])
  t.equal((await readHeader(path)).entries.size, 0)
})

t.test('malformed headers are refused', async (t) => {
  const huge = Number.MAX_SAFE_INTEGER
  const cases: [string, unknown, number, RegExp, bigint?][] = [
    ['header longer than the file', '{}', 0, /header of at most 2 bytes but it claims 3/, 3n],
    ['header length of 2^64 - 1', '{}', 0, /header of at most/, 2n ** 64n - 1n],
    ['bad JSON', '{"a":', 0, /expected JSON/],
    ['an empty header', '', 0, /expected JSON/],
    ['a list', [], 0, /JSON object/],
    ['a tensor that is no object', { a: 1 }, 0, /tensor "a": expected an object/],
    ['no dtype', { a: { shape: [], data_offsets: [0, 0] } }, 0, /unknown dtype/],
    ['an unknown dtype', { a: { ...entry(0, 4), dtype: 'F128' } }, 4, /unknown dtype "F128"/],
    ['a dtype of the prototype', { a: { ...entry(0, 4), dtype: 'toString' } }, 4, /unknown dtype/],
    ['a negative dimension', { a: entry(0, 4, [-1]) }, 4, /non-negative/],
    ['a fractional dimension', { a: entry(0, 4, [1.5]) }, 4, /non-negative/],
    ['a dimension past 2^53', `{"a":{"dtype":"F32","shape":[1e300],"data_offsets":[0,4]}}`, 4, /non-negative/],
    ['a product that overflows', { a: entry(0, 4, [huge, huge]) }, 4, /needs NaN bytes/],
    ['an overflow that 0 hides', { a: entry(0, 0, [huge, huge, 0]) }, 0, /needs NaN bytes/],
    ['2^62 elements that wrap to 0', { a: entry(0, 0, [2 ** 31, 2 ** 31]) }, 0, /needs NaN bytes/],
    ['negative offsets', { a: { ...entry(0, 4), data_offsets: [-4, 0] } }, 4, /non-negative/],
    ['offsets out of order', { a: { ...entry(0, 4), data_offsets: [4, 0] } }, 4, /in order/],
    ['three offsets', { a: { ...entry(0, 4), data_offsets: [0, 4, 8] } }, 4, /two non-negative/],
    ['a truncated file', { a: entry(0, 8) }, 4, /is the file truncated/],
    ['a shape unlike its length', { a: entry(0, 8, [3]) }, 8, /needs 12 bytes but its offsets span 8/],
    ['half a byte', { a: { dtype: 'F4', shape: [1], data_offsets: [0, 1] } }, 1, /needs NaN bytes/],
    ['an overlap', { a: entry(0, 8), b: entry(4, 12) }, 12, /"b" overlaps/],
    ['twice the same bytes', { a: entry(0, 4), b: entry(0, 4) }, 4, /overlaps/],
    ['a hole', { a: entry(0, 4), b: entry(8, 12) }, 12, /4 bytes before tensor "b" belong to none/],
    ['bytes at the end', { a: entry(0, 4) }, 12, /last 8 bytes belong to no tensor/],
    ['a name twice', `{"a":${JSON.stringify(entry(0, 4))},"a":${JSON.stringify(entry(4, 8))}}`, 8, /"a" is repeated/],
    [
      'a name twice, spelled otherwise',
      `{"a":${JSON.stringify(entry(0, 4))},"\\u0061":${JSON.stringify(entry(4, 8))}}`,
      8,
      /"a" is repeated/,
    ],
    ['a field twice', '{"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}', 4, /"shape" is repeated/],
    ['metadata that is no text', { __metadata__: { a: 1 } }, 0, /__metadata__/],
  ]
  for (const [name, header, dataBytes, message, claimed] of cases) {
    const path = fileOf(t, header, dataBytes, claimed)
    await t.rejects(
      readHeader(path),
      { name: 'CheckpointError', code: 'SAFETENSORS_MALFORMED', message, details: { file: path } },
      name,
    )
  }
})

t.test('a header that is no UTF-8, and files too short to have one', async (t) => {
  const folder = t.testdir({ empty: '', short: 'abc' })
  for (const name of ['empty', 'short']) {
    await t.rejects(readHeader(join(folder, name)), { code: 'SAFETENSORS_MALFORMED', message: /at least 8 bytes/ }, name)
  }
  const path = join(folder, 'latin1')
  writeFileSync(path, Buffer.from([4, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x22, 0xff, 0x7d]))
  await t.rejects(readHeader(path), { code: 'SAFETENSORS_MALFORMED', message: /UTF-8/ })
})

t.test('names that JavaScript treats as its own are names like any other', async (t) => {
  const text = `{"__proto__":${JSON.stringify(entry(0, 4))},"constructor":${JSON.stringify(entry(4, 8))}}`
  const { entries } = await readHeader(fileOf(t, text, 8))
  t.same([...entries.keys()], ['__proto__', 'constructor'])
})

t.test('every cut of a good file is refused, none crashes', async (t) => {
  const path = join(t.testdir(), 'whole.safetensors')
  await writeSafetensors(path, [countingTensor('a', [2]), countingTensor('b', [3])])
  const whole = readFileSync(path)
  const cut = join(t.testdir(), 'cut.safetensors')
  for (let length = 0; length < whole.length; length++) {
    writeFileSync(cut, whole.subarray(0, length))
    await t.rejects(readHeader(cut), { code: 'SAFETENSORS_MALFORMED' })
  }
})

t.test('files that cannot be read', async (t) => {
  await t.rejects(readHeader(join(t.testdir(), 'absent.safetensors')), { code: 'MODEL_NOT_FOUND', message: /download complete/ })
  await t.rejects(readHeader(t.testdir()), { name: 'CheckpointError', code: 'IO_FAILED' })
})

t.test('a failing writer leaves what was there', async (t) => {
  const folder = t.testdir({ 'model.safetensors': 'before' })
  const path = join(folder, 'model.safetensors')
  await t.rejects(writeSafetensors(path, [countingTensor('a', [2]), failingTensor('b')]), {
    name: 'CheckpointError',
    code: 'WRITE_FAILED',
    message: /disk is full/,
    details: { reason: 'ENOSPC' },
  })
  t.equal(readFileSync(path, 'utf8'), 'before')
  t.same(readdirSync(folder), ['model.safetensors'])
  await t.rejects(writeSafetensors(join(folder, 'no', 'such', 'folder'), []), { code: 'WRITE_FAILED' })
  await t.rejects(writeSafetensors(join(path, 'x.safetensors'), []), { code: 'WRITE_FAILED', message: /is a file, not a folder/ })
})

t.test('a writer that writes too little, too much or twice is caught', async (t) => {
  const path = join(t.testdir(), 'model.safetensors')
  const tensor = countingTensor('a', [2])
  const bytes = (count: number) => ({
    ...tensor,
    write: (sink: (chunk: Uint8Array) => Promise<void>) => sink(new Uint8Array(count)),
  })
  await t.rejects(writeSafetensors(path, [bytes(4)]), { code: 'TENSOR_MISMATCH', message: /expected 8 bytes.*received 4/ })
  await t.rejects(writeSafetensors(path, [bytes(12)]), { code: 'TENSOR_MISMATCH', message: /received 12/ })
  await t.rejects(writeSafetensors(path, [{ ...tensor, shape: [3] }]), { code: 'TENSOR_MISMATCH' })
  await t.rejects(writeSafetensors(path, [tensor, tensor]), { code: 'TENSOR_UNEXPECTED', message: /twice/ })
  t.same(readdirSync(t.testdirName), [])
})

t.test('shards have the names and the index of Hugging Face', async (t) => {
  const tensors = ['a', 'b', 'c', 'd'].map((name, i) => countingTensor(name, [[2], [2], [9], [1]][i]!))
  t.same(planShards(tensors), { shards: [{ file: 'model.safetensors', tensors }] })
  t.same(planShards([]), { shards: [{ file: 'model.safetensors', tensors: [] }] })
  const { shards, index } = planShards(tensors, 16)
  t.same(
    shards.map(({ file, tensors: group }) => [file, group.map(({ name }) => name).join()]),
    [
      ['model-00001-of-00003.safetensors', 'a,b'],
      ['model-00002-of-00003.safetensors', 'c'],
      ['model-00003-of-00003.safetensors', 'd'],
    ],
  )
  t.same(index, {
    metadata: { total_size: 56 },
    weight_map: {
      a: 'model-00001-of-00003.safetensors',
      b: 'model-00001-of-00003.safetensors',
      c: 'model-00002-of-00003.safetensors',
      d: 'model-00003-of-00003.safetensors',
    },
  })
})

const golden = sharedPath('golden', 'qwen2', 'model.safetensors')
t.test("a file of safetensors' own writer", { skip: golden === undefined && 'shared/golden is absent' }, async (t) => {
  const { entries } = await readHeader(golden!)
  t.match(entries.get('model.embed_tokens.weight'), { dtype: 'F32', shape: [320, 64], byteLength: 4 * 320 * 64 })
})
