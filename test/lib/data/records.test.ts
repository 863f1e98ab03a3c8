import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { parseProblemRow } from '../../../lib/data/problem-row.js'
import { type ChatRecord, parseRecord } from '../../../lib/data/records.js'
import { columnNames } from '../../../lib/data/row-columns.js'
import { rowPlace } from '../../../lib/data/rows/row.js'
import { readRecords } from '../../records.js'
import { sharedPath } from '../../shared-files.js'

/** Writes a file of records and returns its path; objects become JSON lines. */
function fileOf(test: Test, content: string | Buffer | object[], name = 'chains.jsonl'): string {
  const path = join(test.testdir(), name)
  writeFileSync(path, Array.isArray(content) ? `${content.map((row) => JSON.stringify(row)).join('\n')}\n` : content)
  return path
}

const question = { role: 'user', content: 'What is 1 + 1?' }
const response = { role: 'assistant', content: 'It is 2.' }
const limo = { question: question.content, solution: response.content, answer: '2' }

t.test('every layout becomes the same turns', async (t) => {
  const layouts: Record<string, object> = {
    'LIMO, further columns ignored': { ...limo, difficulty: 5 },
    'question and answer': { question: question.content, answer: response.content },
    alpaca: { instruction: question.content, input: '', output: response.content },
    'alpaca with null columns': {
      instruction: question.content,
      input: null,
      output: response.content,
      system: null,
      history: null,
    },
    ShareGPT: {
      conversations: [
        { from: 'human', value: question.content },
        { from: 'gpt', value: response.content },
      ],
    },
    messages: { messages: [question, response], tools: null },
  }
  for (const [layout, row] of Object.entries(layouts)) {
    t.same(await readRecords(fileOf(t, [row])), [{ kind: 'chat', place: 'chains.jsonl:1', turns: [question, response] }], layout)
  }
})

t.test('every known name of a column is one to training and to curation', (t) => {
  const place = rowPlace('rows.jsonl', 'line', 1)
  for (const name of columnNames.question) {
    for (const response of [...columnNames.solution, ...columnNames.answer]) {
      const value = { [name]: question.content, [response]: 'It is 2.' }
      const record = parseRecord({ place, value }, undefined)
      const problem = parseProblemRow({ place, value })
      t.match(record, { turns: [question, { content: value[response] }] }, `{${name}, ${response}}`)
      t.equal(problem.question, question.content)
      t.equal(problem.solution ?? problem.answer, value[response])
    }
  }
  const parse = (value: object) => ({
    turns: (parseRecord({ place, value }, undefined) as ChatRecord).turns.map(({ content }) => content),
    problem: parseProblemRow({ place, value }),
  })
  const agree: [string, object, string[]][] = [
    ['reasoning beside a response', { instruction: 'q', output: '5', reasoning: 'long' }, ['q', '5']],
    ['reasoning alone is the chain', { question: 'q', reasoning: 'a long chain', answer: '5' }, ['q', 'a long chain']],
    ['an instruction before a rendered prompt', { prompt: 'q x 5', instruction: 'q', input: 'x', output: '5' }, ['q\nx', '5']],
    ['a context', { instruction: 'q', context: 'x', response: '5' }, ['q\nx', '5']],
    [
      'empty columns are not there',
      { messages: null, question: '', problem: 'q', output: null, answer: '#### 5' },
      ['q', '#### 5'],
    ],
    [
      'roles of ShareGPT by other keys',
      {
        conversations: [
          { role: 'human', content: 'q' },
          { role: 'gpt', content: '5' },
        ],
      },
      ['q', '5'],
    ],
  ]
  for (const [name, row, [asked, said]] of agree) {
    const { turns, problem } = parse(row)
    t.same(turns, [asked, said], name)
    t.equal(problem.question, asked, name)
    if (said !== '#### 5') t.equal(problem.solution, said, name)
  }
  t.throws(() => parse({ prompt: 'q', completion: 'bad', label: false }), { message: /received a completion with a label/ })
  t.end()
})

t.test('alpaca: system, history, and the input on a line after the instruction', async (t) => {
  const row = { instruction: 'Add.', input: '2 and 3', output: '5', system: 'Be brief.', history: [['Hello', 'Hi']] }
  const [record] = await readRecords(fileOf(t, [row]))
  t.match(record, {
    turns: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: 'Hi' },
      { role: 'user', content: 'Add.\n2 and 3' },
      { role: 'assistant', content: '5' },
    ],
  })
})

t.test('the system text of a row is the one of its record, in every layout', async (t) => {
  const turns = {
    messages: [question, response],
    conversations: [
      { from: 'human', value: question.content },
      { from: 'gpt', value: response.content },
    ],
  }
  for (const [column, value] of Object.entries(turns)) {
    const [record, none] = await readRecords(
      fileOf(t, [
        { system: 'Be brief.', [column]: value },
        { system: null, [column]: value },
      ]),
    )
    t.match(record, { turns: [{ role: 'system', content: 'Be brief.' }, question, response] }, column)
    t.match(none, { turns: [question, response] })
  }
  t.match(await readRecords(fileOf(t, [{ ...limo, system: 'Be brief.' }])), [{ turns: [{ role: 'system' }, question, response] }])
  const own = { role: 'system', content: 'Of the conversation.' }
  const [record] = await readRecords(fileOf(t, [{ system: 'Of the row.', messages: [own, question, response] }]))
  t.match(record, { turns: [own, question, response] }, 'as in LLaMA-Factory')
  await t.rejects(readRecords(fileOf(t, [{ ...limo, system: 5 }])), { message: /expected system to be a string but received 5/ })
})

t.test('ShareGPT: system, function calls and observations', async (t) => {
  const tags = ['system', 'human', 'function_call', 'observation', 'gpt']
  const [record] = await readRecords(fileOf(t, [{ conversations: tags.map((from) => ({ from, value: `text of ${from}` })) }]))
  t.match(record, {
    turns: [{ role: 'system' }, { role: 'user' }, { role: 'assistant', content: 'text of function_call' }, { role: 'tool' }, {}],
  })
})

t.test('tokenized rows', async (t) => {
  const records = await readRecords(fileOf(t, [{ input_ids: [5, 6, 7], labels: [-100, 6, 7], attention_mask: [1, 1, 1] }]))
  t.same(records, [{ kind: 'tokens', place: 'chains.jsonl:1', inputIds: [5, 6, 7], labels: [-100, 6, 7] }])
})

t.test('a JSON array, whatever the name of the file', async (t) => {
  const path = fileOf(t, ` \n${JSON.stringify([limo, limo], null, 2)}`, 'chains.json')
  t.match(await readRecords(path), [{ place: 'chains.json record 1' }, { place: 'chains.json record 2' }])
  await t.rejects(readRecords(fileOf(t, '[{"question": "a", "solution": ""}]', 'chains.json')), {
    code: 'DATA_EMPTY_TURN',
    details: { record: 1, turn: 2 },
  })
})

t.test('byte order mark, Windows line ends, blank lines, no line end at the end', async (t) => {
  const line = JSON.stringify(limo)
  const records = await readRecords(fileOf(t, `\uFEFF${line}\r\n\r\n  \n${line}`))
  t.match(records, [{ place: 'chains.jsonl:1' }, { place: 'chains.jsonl:4' }])
})

t.test('U+2028 inside a string does not end a line', async (t) => {
  const [record] = await readRecords(fileOf(t, `{"question": "a\u2028b", "solution": "c\u0085d"}\n`))
  t.match(record, { turns: [{ content: 'a\u2028b' }, { content: 'c\u0085d' }] })
})

t.test('lines longer than a chunk of the stream', async (t) => {
  const long = { question: 'q', solution: '多'.repeat(100_000) }
  const records = await readRecords(fileOf(t, [long, limo, long]))
  t.equal(records.length, 3)
  t.match(records[2], { place: 'chains.jsonl:3', turns: [{}, { content: long.solution }] })
})

t.test('files that cannot be read', async (t) => {
  const folder = t.testdir()
  mkdirSync(join(folder, 'sub'))
  await t.rejects(readRecords(join(folder, 'absent.jsonl')), { code: 'DATA_NOT_FOUND', message: /does not exist/ })
  await t.rejects(readRecords(join(folder, 'sub')), { code: 'DATA_NOT_FOUND', message: /folder/ })
  if (process.platform !== 'win32') {
    await t.rejects(readRecords('/dev/null'), { code: 'DATA_NOT_FOUND', message: /is a pipe or a device/ })
    const pipe = join(folder, 'pipe.jsonl')
    execFileSync('mkfifo', [pipe])
    await t.rejects(readRecords(pipe), { code: 'DATA_NOT_FOUND', message: /pipe\.jsonl, but it is a pipe or a device/ })
  }
  t.same(await readRecords(fileOf(t, '')), [])
  t.same(await readRecords(fileOf(t, '\n \r\n')), [])
  t.same(await readRecords(fileOf(t, '[]', 'chains.json')), [])
})

t.test('malformed files name the line', async (t) => {
  const good = JSON.stringify(limo)
  const path = fileOf(t, `${good}\n{"question": "cut of`)
  await t.rejects(readRecords(path), {
    code: 'DATA_MALFORMED',
    message: /^chains\.jsonl:2: expected one JSON/,
    details: { file: path, line: 2 },
  })
  const latin1 = Buffer.concat([Buffer.from(`${good}\n{"question": "caf`), Buffer.from([0xe9]), Buffer.from('"}')])
  await t.rejects(readRecords(fileOf(t, latin1)), { code: 'DATA_MALFORMED', message: /chains\.jsonl:2: .*UTF-8/ })
  await t.rejects(readRecords(fileOf(t, `[\n${good},\n${good}`, 'c.json')), { code: 'DATA_MALFORMED', details: { line: 3 } })
})

t.test('half a surrogate pair is no text', async (t) => {
  const good = JSON.stringify(limo)
  const rows = {
    LIMO: '{"question": "a", "solution": "b \\ud83d c"}',
    history: '{"instruction": "a", "output": "b", "history": [["\\ude00", "c"]]}',
    messages: '{"messages": [{"role": "user", "content": "\\ude00\\ud83d"}, {"role": "assistant", "content": "b"}]}',
  }
  for (const [layout, row] of Object.entries(rows)) {
    const path = fileOf(t, `${good}\n${row}\n`)
    const message = /^chains\.jsonl:2: expected Unicode text in turn [12] \((user|assistant)\) but received half a surrogate pair/
    await t.rejects(readRecords(path), { code: 'DATA_INVALID_RECORD', message, details: { file: path, line: 2 } }, layout)
  }
  t.match(await readRecords(fileOf(t, '{"question": "\\ud83d\\ude00", "solution": "😀"}\n')), [
    { turns: [{ content: '😀' }, {}] },
  ])
})

t.test('bad records name file, line, what was expected and what came', async (t) => {
  const turns = (...roles: string[]) => ({ messages: roles.map((role) => ({ role, content: 'text' })) })
  const cases: [string, unknown, RegExp][] = [
    ['not an object', 42, /expected a JSON object but received 42/],
    ['null', null, /expected a JSON object but received null/],
    ['an array on a line', [1], /expected a JSON object but received a list of 1/],
    ['no known columns', { prompt: 'a', text: 'b' }, /\{question, solution\}.* but received \{prompt, text\}.*dataset_info/],
    ['a number as text', { question: 1, solution: 'b' }, /expected question to be a string but received 1/],
    ['a missing column', { instruction: 'a' }, /expected output to be a string but received nothing/],
    ['a long wrong value', { question: 'a', solution: ['x'] }, /expected solution to be a string but received a list of 1/],
    ['history without pairs', { instruction: 'a', output: 'b', history: [['x']] }, /expected history to be a list of \[prompt/],
    ['turns that are no list', { messages: 'text' }, /expected messages to be a list of turns but received "text"/],
    ['a turn that is no object', { messages: ['text'] }, /expected messages\[0\] to be an object but received "text"/],
    ['an unknown role', turns('narrator'), /expected messages\[0\]\.role to be one of .*user.* but received "narrator"/],
    ['a role named like a method', turns('constructor'), /messages\[0\]\.role/],
    ['content in parts', { messages: [{ role: 'user', content: [{ type: 'text' }] }] }, /messages\[0\]\.content to be a string/],
    ['tool calls', { messages: [question, { role: 'assistant', content: '', tool_calls: [{}] }] }, /received tool_calls/],
    ['tool definitions', { ...turns('user', 'assistant'), tools: [{}] }, /received the column tools/],
    ['no turns', { messages: [] }, /expected an assistant turn at the end.* but received no turns/],
    ['no response', turns('user'), /expected an assistant turn at the end.* but received user/],
    ['a response first', turns('assistant'), /expected system or user first but received assistant as turn 1/],
    [
      'two responses',
      turns('user', 'assistant', 'assistant'),
      /expected user or tool after an assistant turn but received assistant as turn 3/,
    ],
    ['a late system turn', turns('user', 'system', 'assistant'), /received system as turn 2/],
    ['labels missing', { input_ids: [1, 2] }, /expected labels to be a list of integers but received nothing/],
    ['no ids', { input_ids: [], labels: [] }, /expected input_ids to be a list of integers but received an empty list/],
    ['fewer labels', { input_ids: [1, 2], labels: [1] }, /received 1 labels for 2 input_ids/],
    ['a fractional id', { input_ids: [1, 2.5], labels: [1, 2] }, /expected input_ids\[1\] to be a token id but received 2\.5/],
    ['a negative id', { input_ids: [1, -2], labels: [1, 2] }, /input_ids\[1\].*-2/],
    ['an id beyond 32 bits', { input_ids: [1, 2 ** 31], labels: [1, 2] }, /input_ids\[1\]/],
    [
      'another negative label',
      { input_ids: [1, 2], labels: [1, -1] },
      /expected labels\[1\] to be a token id or -100 but received -1/,
    ],
  ]
  for (const [name, row, message] of cases) {
    const path = fileOf(t, [limo, row as object])
    const details = { file: path, line: 2 }
    await t.rejects(readRecords(path), { name: 'DataError', code: 'DATA_INVALID_RECORD', message, details }, name)
    await t.rejects(readRecords(path), { message: /^chains\.jsonl:2: / }, `${name}: the place comes first`)
  }
})

t.test('an empty turn is never lost in silence', async (t) => {
  const empty = [
    { ...limo, solution: '' },
    { ...limo, question: ' \n' },
    { messages: [question, { role: 'assistant', content: '' }] },
    { instruction: '', input: '', output: 'b' },
  ]
  for (const row of empty) await t.rejects(readRecords(fileOf(t, [row])), { code: 'DATA_EMPTY_TURN', details: { line: 1 } })
})

const sft = sharedPath('data', 'sft')
t.test('real files', { skip: sft === undefined && 'shared/data is absent' }, async (t) => {
  const chains = await readRecords(join(sft!, 'long-chains.jsonl'))
  t.equal(chains.length, 150)
  t.ok(chains.every((record) => record.kind === 'chat' && record.turns.length === 2))
  t.equal((await readRecords(join(sft!, 'gsm8k-train.jsonl'))).length, 2000)
})
