import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { parseTrainConfig } from '../../../lib/config/train-config.js'
import type { Examples } from '../../../lib/data/examples.js'
import { loadExamples } from '../../../lib/data/load-examples.js'
import { parquetFile } from '../../parquet-files.js'

/** Tokenized rows whose first id says which they are: no tokenizer is needed. */
const rowsFrom = (first: number, count: number, length = 4) =>
  Array.from({ length: count }, (_, index) => {
    const input_ids = [first + index, ...Array.from({ length: length - 1 }, (_, at) => at)]
    return { input_ids, labels: input_ids }
  })
const jsonl = (rows: object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('')

function setUp(test: Test, files: Record<string, string | Uint8Array>) {
  const folder = test.testdir()
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(folder, name, '..'), { recursive: true })
    writeFileSync(join(folder, name), content)
  }
  const load = (dataset: string, settings: Record<string, unknown> = {}) => {
    const keys = { dataset, dataset_dir: folder, tokenized_path: join(folder, 'cache'), ...settings }
    const { config } = parseTrainConfig(keys, 'test')
    return loadExamples(config, config.dataset!, { modelFolder: folder, vocabSize: 1000 })
  }
  return { folder, load }
}

const idsOf = (examples: Examples) => Array.from({ length: examples.count }, (_, index) => examples.read(index).inputIds[0])

t.test('files, globs and folders, one after another', async (t) => {
  const { load, folder } = setUp(t, {
    'a.jsonl': jsonl(rowsFrom(0, 3)),
    'b.json': JSON.stringify(rowsFrom(10, 2)),
    'hub/data/train-0.parquet': parquetFile([
      { name: 'input_ids', data: rowsFrom(20, 2).map(({ input_ids }) => input_ids), type: 'JSON' },
      { name: 'labels', data: rowsFrom(20, 2).map(({ labels }) => labels), type: 'JSON' },
    ]),
    'hub/data/test-0.jsonl': jsonl(rowsFrom(30, 2)),
    'dataset_info.json': JSON.stringify({
      hub: { file_name: 'hub' },
      held: { file_name: 'hub', split: 'test' },
      twice: { file_name: 'a.jsonl', num_samples: 6 },
    }),
    'c.csv': 'input_ids,labels\n"[40, 1]","[40, 1]"\n',
  })
  const { train, validation, report } = await load(`a.jsonl,b.json,hub,c.csv`)
  t.same(idsOf(train), [0, 1, 2, 10, 11, 20, 21, 40])
  t.same(
    [0, 3, 5, 7].map((index) => train.infoOf(index).place),
    ['a.jsonl:1', 'b.json record 1', 'train-0.parquet record 1', 'c.csv:2'],
  )
  t.same([validation.count, report.kept, report.tokens, report.longest], [0, 8, 30, 4])
  t.same(idsOf((await load(join(folder, '?.json*'), { dataset_dir: 'elsewhere' })).train).sort(), [0, 1, 10, 11, 2].sort())
  t.same(idsOf((await load('a.jsonl,b.json', { max_samples: 2 })).train), [0, 1, 10, 11], 'max_samples is of each data set')
  t.same(idsOf((await load('a.jsonl', { eval_dataset: 'held' })).validation), [30, 31])
  const long = await load('a.jsonl', { eval_dataset: 'twice', cutoff_len: 3, over_length: 'truncate' })
  t.match([long.validation.count, long.evalReport], [6, { truncated: { length: 3 } }], 'num_samples and lengths of eval_dataset')

  const sampled = idsOf((await load('twice,b.json')).train)
  t.same(sampled.slice(0, 3).sort(), [0, 1, 2])
  t.equal(sampled.length, 8)
  const split = await load('twice,b.json', { val_size: 2 })
  const heldOut = idsOf(split.validation)
  t.equal(heldOut.length, 2)
  t.notOk(
    idsOf(split.train).some((id) => heldOut.includes(id)),
    'an example that is drawn again is not also held out',
  )
})

t.test('a mixture, and what is dropped', async (t) => {
  const { load } = setUp(t, {
    'a.jsonl': jsonl([...rowsFrom(0, 2), ...rowsFrom(2, 1, 9), ...rowsFrom(3, 2)]),
    'b.jsonl': jsonl(rowsFrom(10, 3)),
  })
  const drop = { cutoff_len: 8, over_length: 'drop' }
  t.same(idsOf((await load('a.jsonl,b.jsonl', drop)).train), [0, 1, 3, 4, 10, 11, 12])
  const { train } = await load('a.jsonl,b.jsonl', { ...drop, mix_strategy: 'interleave_under' })
  t.same(idsOf(train), [0, 10, 1, 11, 3, 12])
  t.same(
    [0, 1, 4].map((index) => train.infoOf(index).record),
    [0, 5, 3],
    'which record it is',
  )
  const drawn = await load('a.jsonl,b.jsonl', { ...drop, mix_strategy: 'interleave_over', interleave_probs: '0.5,0.5' })
  t.equal(new Set(idsOf(drawn.train)).size, 7)
  await t.rejects(load('a.jsonl,b.jsonl', { cutoff_len: 8 }), { code: 'DATA_OVER_LENGTH', message: /a\.jsonl:3 has 9/ })
})

t.test('the digest is that of the examples', async (t) => {
  const { load, folder } = setUp(t, { 'a.jsonl': jsonl(rowsFrom(0, 3)), 'b.jsonl': jsonl(rowsFrom(10, 3)) })
  const { digest } = await load('a.jsonl,b.jsonl')
  t.equal((await load('a.jsonl,b.jsonl')).digest, digest)
  t.not((await load('b.jsonl,a.jsonl')).digest, digest)
  t.not((await load('a.jsonl,b.jsonl', { max_samples: 2 })).digest, digest)
  writeFileSync(join(folder, 'a.jsonl'), jsonl(rowsFrom(0, 3)).replace('[0,0,1,2]', '[0,0,1,3]'))
  t.not((await load('a.jsonl,b.jsonl')).digest, digest)
})

t.test('nothing to train on', async (t) => {
  const { load } = setUp(t, { 'a.jsonl': '\n', 'b.json': '[]', 'c.jsonl': jsonl(rowsFrom(0, 1)) })
  await t.rejects(load('a.jsonl'), { code: 'DATA_EMPTY', message: /expected at least one record in .*a\.jsonl but it has none/ })
  await t.rejects(load('c.jsonl,b.json'), { code: 'DATA_EMPTY', message: /b\.json/ })
  await t.rejects(load('c.jsonl', { val_size: 1 }), { code: 'DATA_EMPTY', message: /val_size/ })
})
