import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { resolveDatasets } from '../../../lib/data/dataset-info.js'
import { parseRecord } from '../../../lib/data/records.js'
import { readRows } from '../../../lib/data/rows/rows.js'
import { readRecords } from '../../records.js'

const limo = { question: 'q', solution: 's', answer: 'a' }

function folderWith(test: Test, info: unknown, files: Record<string, string> = {}): string {
  const folder = test.testdir({ 'dataset_info.json': typeof info === 'string' ? info : JSON.stringify(info) })
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(folder, dirname(name)), { recursive: true })
    writeFileSync(join(folder, name), content)
  }
  return folder
}

t.test('a name, a path, and a list of both', async (t) => {
  const folder = folderWith(
    t,
    { limo: { file_name: 'limo.json' } },
    { 'limo.json': JSON.stringify([limo]), 'mine.jsonl': JSON.stringify(limo) },
  )
  t.same(await resolveDatasets('limo', folder), [{ name: 'limo', files: [join(folder, 'limo.json')] }])
  const mine = join(folder, 'mine.jsonl')
  t.same(await resolveDatasets(mine, 'no-such-folder'), [{ name: 'mine.jsonl', files: [mine] }], 'needs no dataset_info.json')
  t.match(await resolveDatasets('limo, mine.jsonl', folder), [{ name: 'limo' }, { files: [mine] }], 'a file in dataset_dir')
})

t.test('mapped columns', async (t) => {
  const info = {
    mapped: { file_name: 'a.json', columns: { prompt: 'problem', response: 'reasoning', system: 'sys' } },
    chat: {
      file_name: 'b.json',
      formatting: 'sharegpt',
      columns: { messages: 'dialog', system: 'sys' },
      tags: { role_tag: 'who', content_tag: 'says', user_tag: 'U', assistant_tag: 'A', system_tag: 'S' },
    },
    plain: { file_name: 'c.json', formatting: 'sharegpt' },
  }
  const folder = folderWith(t, info, {
    'a.json': JSON.stringify([{ problem: 'q', reasoning: 'r', sys: 'be brief', instruction: 'not this' }]),
    'b.json': JSON.stringify([
      {
        sys: 'be brief',
        dialog: [
          { who: 'U', says: 'q' },
          { who: 'A', says: 'r' },
        ],
      },
    ]),
    'c.json': JSON.stringify([
      {
        conversations: [
          { from: 'human', value: 'q' },
          { from: 'gpt', value: 'r' },
        ],
      },
    ]),
  })
  const turns = [
    { role: 'system', content: 'be brief' },
    { role: 'user', content: 'q' },
    { role: 'assistant', content: 'r' },
  ]
  const [mapped, chat, plain] = await resolveDatasets('mapped,chat,plain', folder)
  t.match(await readRecords(mapped!.files[0]!, mapped!.columns), [{ turns }])
  t.match(await readRecords(chat!.files[0]!, chat!.columns), [{ turns }])
  t.match(await readRecords(plain!.files[0]!, plain!.columns), [{ turns: turns.slice(1) }])
})

t.test('names that are not there', async (t) => {
  const folder = folderWith(t, { limo: { file_name: 'limo.json' }, other: { file_name: 'x' } })
  await t.rejects(resolveDatasets('limmo', folder), {
    code: 'DATA_NOT_FOUND',
    message: /nearest name: limo/,
    details: { nearest: 'limo' },
  })
  await t.rejects(resolveDatasets('limo', t.testdir()), { code: 'DATA_NOT_FOUND', message: /neither does .*dataset_info\.json/ })
  await t.rejects(resolveDatasets('constructor', folder), { code: 'DATA_NOT_FOUND' }, 'no inherited property is a name')
  await t.rejects(resolveDatasets(' , ', folder), { code: 'DATA_NOT_FOUND' })
})

t.test('what would have to be downloaded', async (t) => {
  for (const key of ['hf_hub_url', 'ms_hub_url', 'script_url']) {
    const folder = folderWith(t, { remote: { [key]: 'GAIR/LIMO' } })
    await t.rejects(resolveDatasets('remote', folder), {
      code: 'DATA_NOT_FOUND',
      message: new RegExp(`${key}.*GAIR/LIMO.*[Dd]ownload`),
    })
  }
  const folder = folderWith(t, { both: { hf_hub_url: 'GAIR/LIMO', file_name: 'limo.json' } }, { 'limo.json': '[]' })
  t.match(await resolveDatasets('both', folder), [{ files: [join(folder, 'limo.json')] }], 'a file beside the address is taken')
})

t.test('entries that ask for something unknown are refused by its name', async (t) => {
  const cases: [unknown, RegExp][] = [
    ['limo.json', /limo: expected an object with file_name/],
    [{ formatting: 'alpaca' }, /expected file_name/],
    [{ file_name: 'a', formatting: 'chatml' }, /alpaca, sharegpt or openai but received "chatml"/],
    [{ file_name: 'a', ranking: true }, /preference pairs/],
    [{ file_name: 'a', num_samples: 0.5 }, /num_samples to be a whole number above 0 but received 0\.5/],
    [{ file_name: 'a', spilt: 'train' }, /the key spilt/],
    [{ file_name: 'a', split: 5 }, /split to be a string/],
    [{ file_name: 'a', columns: { chosen: 'c' } }, /preference pairs/],
    [{ file_name: 'a', columns: { answer: 'c' } }, /columns to have only .* but received answer/],
    [{ file_name: 'a', columns: { prompt: 5 } }, /columns\.prompt to be a string but received 5/],
    [{ file_name: 'a', columns: [] }, /columns to be an object/],
    [{ file_name: 'a', formatting: 'sharegpt', tags: { name_tag: 'n' } }, /tags to have only .* but received name_tag/],
  ]
  for (const [entry, message] of cases) {
    await t.rejects(resolveDatasets('limo', folderWith(t, { limo: entry })), { code: 'DATA_MALFORMED', message })
  }
  await t.rejects(resolveDatasets('limo', folderWith(t, '{"limo": ')), { code: 'DATA_MALFORMED', message: /expected JSON/ })
  await t.rejects(resolveDatasets('limo', folderWith(t, '[]')), { code: 'DATA_MALFORMED', message: /expected a JSON object/ })
})

t.test('formatting openai, and columns of what must not be there', async (t) => {
  const messages = [
    { role: 'user', content: 'q' },
    { role: 'assistant', content: 'r' },
  ]
  const info = {
    openai: { file_name: 'a.jsonl', formatting: 'openai', num_samples: 3, split: 'train' },
    tools: {
      file_name: 'b.jsonl',
      formatting: 'openai',
      columns: { messages: 'dialog', tools: 'functions', images: 'pictures' },
    },
  }
  const rows = [
    { dialog: messages, functions: '[]', pictures: [] },
    { dialog: JSON.stringify(messages), functions: '', pictures: null },
    { dialog: messages, functions: '[{"name": "f"}]' },
    { dialog: messages, pictures: ['a.png'] },
  ]
  const files = { 'a.jsonl': JSON.stringify({ messages }), 'b.jsonl': rows.map((row) => JSON.stringify(row)).join('\n') }
  const folder = folderWith(t, info, files)
  const [openai, tools] = await resolveDatasets('openai,tools', folder)
  t.equal(openai!.numSamples, 3)
  t.match(await readRecords(openai!.files[0]!, openai!.columns), [{ turns: messages }])
  const parsed: unknown[] = []
  for await (const row of readRows(tools!.files[0]!)) {
    try {
      parsed.push(parseRecord(row, tools!.columns))
    } catch (error) {
      parsed.push(error)
    }
  }
  t.match(parsed, [
    { turns: messages },
    { turns: messages },
    { turns: messages, tools: [{ type: 'function', function: { name: 'f' } }] },
    { code: 'DATA_INVALID_RECORD', message: /b\.jsonl:4: expected text alone but received images in the column pictures/ },
  ])
})

t.test('folders and globs', async (t) => {
  const row = JSON.stringify(limo)
  const info = {
    hub: { file_name: 'hub', subset: 'main' },
    all: { file_name: 'hub/main/*.jsonl' },
    none: { file_name: '*.parquet' },
  }
  const folder = folderWith(t, info, {
    'hub/main/train-0.jsonl': row,
    'hub/main/test-0.jsonl': row,
    'hub/other/train-0.jsonl': row,
  })
  t.match(await resolveDatasets('hub', folder), [{ files: [join(folder, 'hub/main/train-0.jsonl')] }])
  t.match(await resolveDatasets('all', folder), [
    { files: [join(folder, 'hub/main/test-0.jsonl'), join(folder, 'hub/main/train-0.jsonl')] },
  ])
  t.match(await resolveDatasets(join(folder, '*', '*', 'train-*'), 'elsewhere'), [{ files: { length: 2 } }])
  await t.rejects(resolveDatasets('none', folder), { code: 'DATA_NOT_FOUND', message: /no file matches .*\*\.parquet/ })
})
