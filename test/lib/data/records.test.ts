import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { parseProblemRow } from '../../../lib/data/problem-row.js'
import { type ChatRecord, parseRecord } from '../../../lib/data/records.js'
import { columnNames, roleNames } from '../../../lib/data/row-columns.js'
import { parsePythonJson } from '../../../lib/data/rows/python-json.js'
import { rowPlace } from '../../../lib/data/rows/row.js'
import { readRows } from '../../../lib/data/rows/rows.js'
import { inlineText } from '../../../lib/data/turn.js'
import { parquetFile } from '../../parquet-files.js'
import { readRecords } from '../../records.js'
import { sharedPath } from '../../shared-files.js'

/** Writes a file of records and returns its path; objects become JSON lines. */
function fileOf(test: Test, content: string | Buffer | object[], name = 'chains.jsonl'): string {
  const path = join(test.testdir(), name)
  writeFileSync(path, Array.isArray(content) ? `${content.map((row) => JSON.stringify(row)).join('\n')}\n` : content)
  return path
}

const place = rowPlace('rows.jsonl', 'line', 1)
const question = { role: 'user', content: 'What is 1 + 1?' }
const response = { role: 'assistant', content: 'It is 2.' }
const limo = { question: question.content, solution: response.content, answer: '2' }

t.test('every layout becomes the same turns', async (t) => {
  const layouts: Record<string, object> = {
    LIMO: limo,
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

t.test('what nobody reads is named', async (t) => {
  const unreadOf = async (row: object) => (await readRecords(fileOf(t, [row])))[0]!.unread
  t.same(await unreadOf({ ...limo, difficulty: 5, url: '', tags: [], source: null, level: 0 }), ['difficulty', 'level'])
  t.equal(await unreadOf({ ...limo, system: 'Be brief.', tools: [] }), undefined)
  t.same(
    await unreadOf({ ...limo, problem: 'another', generation: 'another' }),
    ['problem', 'generation'],
    'the first of a role is',
  )
  t.same(await unreadOf({ messages: [question, response], question: 'q', answer: '2' }), ['question'], 'the answer is checked')
  const named = { ...response, name: 'Bot', id: 7, prefix: null }
  t.same(await unreadOf({ messages: [question, named, question, named] }), ['messages[].id'])
  const s1 = { question: 'q', thinking_trajectories: ['long'], attempt: 'so 5', solution: '5', cot: null }
  t.same(await unreadOf(s1), ['thinking_trajectories', 'attempt'])
  t.same(await unreadOf({ instruction: 'a', output: 'b', input: 'c', context: 'd' }), ['context'])
  t.same(await unreadOf({ input_ids: [1, 2], labels: [1, 2], attention_mask: [1, 1], text: 'x' }), ['text'])
  const mapping = { formatting: 'alpaca', columns: { prompt: 'ask', response: 'say' } } as const
  const path = fileOf(t, [{ ask: 'q', say: 'a', answer: '5' }])
  t.same((await readRecords(path, mapping))[0]!.unread, ['answer'], 'a mapping says all that is read')
})

t.test('thoughts in a field or a column of their own', async (t) => {
  const turnOf = async (row: object) => {
    const [record] = (await readRecords(fileOf(t, [row]))) as ChatRecord[]
    return record!.turns.at(-1)
  }
  const thought = { role: 'assistant', content: 'It is 2.', reasoning: 'One and one.' }
  for (const key of ['reasoning_content', 'reasoning', 'thinking']) {
    t.same(await turnOf({ messages: [question, { ...response, [key]: 'One and one.' }] }), thought, `a turn's ${key}`)
    t.same(await turnOf({ ...limo, [key]: 'One and one.' }), thought, `a row's ${key}`)
    t.same(await turnOf({ messages: [question, { ...response, [key]: '' }] }), response, 'an empty one is none')
    t.same(await turnOf({ ...limo, [key]: 'on' }), response, 'a switch is none')
    await t.rejects(turnOf({ messages: [question, { ...response, [key]: [1] }] }), {
      message: new RegExp(`${key} to be a string`),
    })
    await t.rejects(turnOf({ messages: [{ ...question, [key]: 'Hm.' }, response] }), {
      message: /reasoning of the assistant.*turn 1/,
    })
  }
  for (const key of ['reasoning_content', 'reasoning', 'thinking']) {
    const row = { question: 'q', answer: '5', [key]: 'long' }
    const turn = { role: 'assistant', content: '5', reasoning: 'long' } as const
    t.same(await turnOf(row), turn, `${key} and an answer are one response`)
    const problem = parseProblemRow({ place, value: row })
    t.same(problem, { question: 'q', solution: inlineText(turn), answer: '5' }, 'the same for curation, and in what it writes')
    t.equal((await turnOf(problem))!.content, inlineText(turn))
  }
  await t.rejects(turnOf({ question: 'q', reasoning: 'long', answer: 5 }), { message: /answer to be a string but received 5/ })
  const both = { ...response, reasoning: 'One and one.', reasoning_content: 'One and one.' }
  t.same(await turnOf({ messages: [question, both] }), thought, 'one text under two names, as servers write it')
  const odds = { messages: [question, { ...both, reasoning: 'Two.' }] }
  await t.rejects(turnOf(odds), { message: /one reasoning in messages\[1\] but received reasoning_content and reasoning/ })
})

t.test('turns that say whether they are learnt', async (t) => {
  const turnsOf = async (...turns: object[]) => {
    const [record] = (await readRecords(fileOf(t, [{ messages: turns }]))) as ChatRecord[]
    return record!.turns.map(({ scored }) => scored)
  }
  for (const key of ['weight', 'train', 'training', 'trainable', 'loss', 'loss_mask']) {
    for (const value of [0, false]) {
      t.same(await turnsOf(question, { ...response, [key]: value }, question, response), [undefined, false, undefined, undefined])
    }
    t.same(await turnsOf({ ...question, [key]: 0 }, { ...response, [key]: 1 }), [undefined, true])
    t.same(await turnsOf(question, { ...response, [key]: null }), [undefined, undefined])
    await t.rejects(turnsOf(question, { ...response, [key]: 0.5 }), {
      message: new RegExp(`messages\\[1\\]\\.${key} to be 0, 1`),
    })
  }
  t.same(await turnsOf({ ...question, weight: 1 }, response), [undefined, undefined], 'the weight that a turn has by itself')
  await t.rejects(turnsOf({ ...question, train: true }, response), {
    message: /messages\[0\]\.train in a user turn.*train_on_prompt/,
  })
  await t.rejects(turnsOf(question, { ...response, weight: 0, train: true }), { message: /weight and train at odds/ })
})

t.test('rows that say whether they are learnt', async (t) => {
  const recordOf = async (row: object) => (await readRecords(fileOf(t, [row])))[0]!
  const tokens = { input_ids: [1, 2], labels: [-100, 2] }
  for (const row of [limo, { messages: [question, response] }, tokens]) {
    for (const key of ['weight', 'train', 'training', 'trainable', 'loss_mask']) {
      for (const value of [0, false]) {
        const record = await recordOf({ ...row, [key]: value })
        t.match([record.isUnlearnt, record.unread], [true, undefined], `${key}: ${value}`)
      }
      t.equal((await recordOf({ ...row, [key]: 1 })).isUnlearnt, undefined)
    }
    for (const weight of [0.5, 3, -1, 'high', [0, 1]]) {
      await t.rejects(recordOf({ ...row, weight }), { message: /expected weight to be 0, 1, true or false.*repeat rows/ })
    }
    await t.rejects(recordOf({ ...row, label: false }), { message: /label: false.*Remove such rows/ })
    t.match(await recordOf({ ...row, label: true, weight: 1 }), { isUnlearnt: undefined, unread: undefined })
    t.match(await recordOf({ ...row, loss: 0, train: 'yes', label: 3 }), {
      isUnlearnt: undefined,
      unread: ['loss', 'train', 'label'],
    })
    t.match(await recordOf({ ...row, loss: false }), { isUnlearnt: true })
  }
  await t.rejects(recordOf({ messages: [question, response], loss_mask: [0, 1] }), { message: /expected loss_mask to be 0, 1/ })
  t.match(await recordOf({ ...tokens, loss_mask: [0, 1] }), { labels: [-100, 2], unread: undefined })
  await t.rejects(recordOf({ ...tokens, loss_mask: [1, 0] }), { message: /loss_mask to be 0 exactly where labels are -100/ })
  await t.rejects(recordOf({ ...tokens, loss_mask: [1] }), { message: /loss_mask/ })
})

t.test('tool calls and their definitions', async (t) => {
  const call = { name: 'weather', arguments: { city: 'Paris' } }
  const result = { role: 'tool', content: '20' }
  const turnsOf = async (column: string, ...turns: object[]) => {
    const [record] = (await readRecords(fileOf(t, [{ [column]: turns }]))) as ChatRecord[]
    return record!.turns
  }
  const expected = { role: 'assistant', content: '', toolCalls: [call] }
  for (const [name, fields] of Object.entries({
    OpenAI: { content: null, tool_calls: [{ type: 'function', function: call }] },
    'arguments as text': { tool_calls: [{ function: { ...call, arguments: JSON.stringify(call.arguments) } }] },
    'the older function_call': { content: '', function_call: call },
    'calls as JSON text': { content: '', tool_calls: JSON.stringify([call]) },
  })) {
    t.same((await turnsOf('messages', question, { role: 'assistant', ...fields }, result, response))[1], expected, name)
  }
  const asked = { role: 'assistant', content: null, tool_calls: [{ id: 'c1', type: 'function', function: call }] }
  const answered = { role: 'tool', name: 'weather', tool_call_id: 'c1', content: '20' }
  t.same((await turnsOf('messages', { ...question, name: 'Ada' }, asked, answered, response)).slice(0, 3), [
    { ...question, name: 'Ada' },
    { ...expected, toolCalls: [{ id: 'c1', ...call }] },
    { ...result, name: 'weather', toolCallId: 'c1' },
  ])
  const older = { role: 'function', name: 'weather', content: '20' }
  t.match(await turnsOf('messages', question, { ...asked }, older, response), [{}, {}, { role: 'tool', name: 'weather' }, {}])
  await t.rejects(turnsOf('messages', { ...question, name: 5 }, response), { message: /messages\[0\]\.name to be a string/ })
  for (const args of ['', ' ', 'null', null, '{}', {}, undefined]) {
    const empty = { role: 'assistant', tool_calls: [{ function: { name: 'now', arguments: args } }] }
    const turn = (await turnsOf('messages', question, empty, result, response))[1]
    t.same(turn!.toolCalls, [{ name: 'now', arguments: {} }], `arguments: ${JSON.stringify(args)}`)
  }
  const [human, gpt] = [
    { from: 'human', value: 'q' },
    { from: 'gpt', value: 'a' },
  ]
  const called = (...calls: object[]) => ({ from: 'function_call', value: JSON.stringify(calls.length === 1 ? calls[0] : calls) })
  const observation = { from: 'observation', value: '20' }
  const shareGpt = (...turns: object[]) => turnsOf('conversations', human, ...turns, observation, gpt)
  t.same((await shareGpt(called(call)))[1], expected)
  t.same((await shareGpt(called(call, call)))[1], { ...expected, toolCalls: [call, call] })
  t.same((await shareGpt(called(call), called(call)))[1], { ...expected, toolCalls: [call, call] }, 'one after the other')
  t.same((await shareGpt(gpt, called(call)))[1], { ...expected, content: 'a' }, 'after what was said')
  const thinking = { ...called(call), value: `<think>Hm.</think>\n${JSON.stringify(call)}` }
  t.same((await shareGpt(thinking))[1], { ...expected, content: '<think>Hm.</think>' })
  await t.rejects(shareGpt({ from: 'function_call', value: 'weather(Paris)' }), {
    message: /conversations\[1\]\.value to be \{name, arguments\} with an object but received "weather\(Paris\)"/,
  })

  const definition = { name: 'weather', parameters: {} }
  const messages = [question, response]
  for (const tools of [[definition], JSON.stringify([definition]), [{ type: 'function', function: definition }]]) {
    t.match(await readRecords(fileOf(t, [{ messages, tools }])), [{ tools: [{ type: 'function', function: definition }] }])
  }
})

t.test('tools as Arrow and JavaScript have them', async (t) => {
  const messages = [question, response]
  const toolsOf = async (parameters: object) => {
    const row = { messages, tools: [{ name: 'f', parameters }] }
    return ((await readRecords(fileOf(t, [row])))[0] as ChatRecord).tools![0]!.function
  }
  const a = { type: ['string', 'null'], default: null, enum: ['x', null] }
  t.same(await toolsOf({ properties: { a, b: null } }), { name: 'f', parameters: { properties: { a } } })
  t.same(await toolsOf({ properties: { properties: { type: 'object', properties: { c: null } } } }), {
    name: 'f',
    parameters: { properties: { properties: { type: 'object', properties: {} } } },
  })
  const moved = { message: /keys that are names, or all of them numbers.*lose their place/ }
  await t.rejects(toolsOf({ properties: { b: {}, 1: {} } }), moved)
  const call = (args: unknown) => [question, { role: 'assistant', tool_calls: [{ function: { name: 'f', arguments: args } }] }]
  await t.rejects(readRecords(fileOf(t, [{ messages: call('{"b": 1, "10": 2}') }])), moved)
  await t.rejects(readRecords(fileOf(t, [{ messages: call({ of: [{ x: 1, 0: 2 }] }) }])), moved)
  await t.resolves(readRecords(fileOf(t, [{ messages: call({ '0': 1, '1': 2 }) }])))
  await t.resolves(readRecords(fileOf(t, [{ messages: call({ '01': 1, a: [1, 2] }) }])))
  const text = (name: string) => ({ name, type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL', converted_type: 'UTF8' })
  const schema = [
    { name: 'root', num_children: 2 },
    { name: 'tool', repetition_type: 'OPTIONAL', num_children: 2 },
    ...[text('x'), text('y'), { ...text('extra'), converted_type: 'JSON' }],
  ]
  const tool = { name: 'tool', data: [{ x: 'a', y: null }, { x: null, y: 'b' }, null] }
  const extra = { name: 'extra', data: [{ a: null }, null, null] }
  const path = fileOf(t, Buffer.from(parquetFile([tool, extra], 1000, schema)), 'a.parquet')
  const rows: unknown[] = []
  for await (const { value } of readRows(path)) rows.push(value)
  t.same(rows, [
    { tool: { x: 'a' }, extra: { a: null } },
    { tool: { y: 'b' }, extra: null },
    { tool: null, extra: null },
  ])
})

t.test('rows that came as tokens: padding, and several sequences in one', async (t) => {
  const recordOf = async (more: object) =>
    (await readRecords(fileOf(t, [{ input_ids: [9, 5, 6, 9], labels: [-100, -100, 6, -100], ...more }])))[0]
  const whole = { inputIds: [9, 5, 6, 9], labels: [-100, -100, 6, -100], unread: undefined }
  t.match(await recordOf({}), whole)
  t.match(await recordOf({ attention_mask: [1, 1, 1, 1], position_ids: [0, 1, 2, 3], token_type_ids: [0, 0, 0, 0] }), whole)
  t.match(await recordOf({ attention_mask: [0, 1, 1, 0] }), { inputIds: [5, 6], labels: [-100, 6] })
  t.match(await recordOf({ attention_mask: [0, 1, 1, 1], position_ids: [1, 0, 1, 2] }), { inputIds: [5, 6, 9] })
  t.match(await recordOf({ attention_mask: [1, 1, 1, 0].map(Boolean) }), { inputIds: [9, 5, 6] })
  const several = { message: /Write a row for each sequence/ }
  for (const more of [
    { attention_mask: [1, 0, 1, 1] },
    { attention_mask: [1, 1, 2, 2] },
    { attention_mask: [0, 0, 0, 0] },
    { position_ids: [0, 1, 0, 1] },
    { attention_mask: [0, 1, 1, 1], position_ids: [0, 1, 2, 3] },
  ]) {
    await t.rejects(recordOf(more), several, JSON.stringify(more))
  }
  await t.rejects(recordOf({ attention_mask: [1] }), { message: /attention_mask to be a list of 4 numbers/ })
})

t.test('content in parts, and rows of prompt and completion', async (t) => {
  const turnsOf = async (row: object) => ((await readRecords(fileOf(t, [row])))[0] as ChatRecord).turns
  const parts = (...texts: string[]) => texts.map((text) => ({ type: 'text', text }))
  const joined = {
    messages: [
      { role: 'user', content: parts('What is ', '1 + 1?') },
      { role: 'assistant', content: parts('It is 2.') },
    ],
  }
  t.same(await turnsOf(joined), [question, response])
  const responses = [
    { role: 'user', content: [{ type: 'input_text', text: question.content }] },
    { role: 'assistant', content: [{ type: 'output_text', text: response.content }] },
  ]
  t.same(await turnsOf({ messages: responses }), [question, response], "parts of OpenAI's responses")
  t.match(
    parseProblemRow({ place, value: joined }),
    { question: question.content, solution: response.content },
    'in curation too',
  )
  const thinking = [{ type: 'thinking', thinking: 'One and one.' }, ...parts('It is 2.')]
  t.same((await turnsOf({ messages: [question, { role: 'assistant', content: thinking }] }))[1], {
    ...response,
    reasoning: 'One and one.',
  })
  const image = { messages: [{ role: 'user', content: [...parts('a'), { type: 'image_url' }] }, response] }
  await t.rejects(turnsOf(image), {
    message: /messages\[0\]\.content\[1\] to be a part with text but received one of type "image_url"/,
  })

  t.same(await turnsOf({ prompt: [question], completion: [response] }), [question, response])
  t.same(await turnsOf({ prompt: [question, response, question], completion: [response], system: 'Be brief.' }), [
    { role: 'system', content: 'Be brief.' },
    question,
    { ...response, isPrompt: true },
    question,
    response,
  ])
  t.same(await turnsOf({ prompt: [question], completion: response.content }), [question, response], 'a text as completion')
})

t.test('every known name of a column is one to training and to curation', (t) => {
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
    ['reasoning beside a response is its thought', { instruction: 'q', output: '5', reasoning: 'long' }, ['q', '5']],
    ['reasoning alone is the chain', { question: 'q', reasoning: 'a long chain' }, ['q', 'a long chain']],
    ['reasoning that is the solution too', { question: 'q', solution: 'chain', reasoning: 'chain' }, ['q', 'chain']],
    ['reasoning that is a setting', { question: 'q', solution: 'chain', reasoning: 'high' }, ['q', 'chain']],
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
  t.same(parse({ prompt: 'q', completion: 'good', label: true }).turns, ['q', 'good'], 'preference data, good')
  t.end()
})

t.test('an answer whose digits JSON has lost', (t) => {
  const place = rowPlace('rows.jsonl', 'line', 1)
  const parse = (json: string) => parseProblemRow({ place, value: parsePythonJson(json) })
  for (const answer of ['9007199254740991', '9007199254740993', '-12345678901234567890', '1e+30', '12345678901234567890.5'])
    t.equal(parse(`{"question": "q", "answer": ${answer}}`).answer, answer)
  t.equal(parse('{"question": "q", "answer": [12345678901234567890]}').answer, '12345678901234567890')
  t.equal(parse('{"question": "q", "answer": "12345678901234567890"}').answer, '12345678901234567890')
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
  t.match(await readRecords(fileOf(t, [{ ...limo, system_prompt: 'Be brief.' }])), [
    { turns: [{ role: 'system', content: 'Be brief.' }, question, response] },
  ])
  const own = { role: 'system', content: 'Of the conversation.' }
  const [record] = await readRecords(fileOf(t, [{ system: 'Of the row.', messages: [own, question, response] }]))
  t.match(record, { turns: [own, question, response] }, 'as in LLaMA-Factory')
  const mapping = { formatting: 'sharegpt', columns: { messages: 'messages', system: 'system' } } as const
  const mapped = { ...mapping, tags: { role: 'role', content: 'content', roles: roleNames, call: 'function_call' } }
  const path = fileOf(t, [{ system: 'Of the row.', messages: [own, question, response] }])
  t.match(await readRecords(path, mapped), [{ turns: [own, question, response] }], 'mapped as well')
  await t.rejects(readRecords(fileOf(t, [{ ...limo, system: 5 }])), { message: /expected system to be a string but received 5/ })
})

t.test('ShareGPT: system, function calls and observations', async (t) => {
  const tags = ['system', 'human', 'function_call', 'observation', 'gpt']
  const call = { name: 'f', arguments: { of: 1 } }
  const textOf = (from: string) => (from === 'function_call' ? JSON.stringify(call) : `text of ${from}`)
  const [record] = await readRecords(fileOf(t, [{ conversations: tags.map((from) => ({ from, value: textOf(from) })) }]))
  t.match(record, {
    turns: [{ role: 'system' }, { role: 'user' }, { role: 'assistant', content: '', toolCalls: [call] }, { role: 'tool' }, {}],
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
    [
      'a tool call without a name',
      { messages: [question, { role: 'assistant', content: '', tool_calls: [{}] }] },
      /expected messages\[1\]\.tool_calls to be \{name, arguments\}/,
    ],
    ['tool definitions without a name', { ...turns('user', 'assistant'), tools: [{}] }, /expected tools to be a list of \{name/],
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

t.test('NaN is refused where it is used', async (t) => {
  const line = '{"question":"q","solution":"s","answer":NaN,"score":NaN,"images":NaN,"far":Infinity}'
  t.match(await readRecords(fileOf(t, `${line}\n`)), [{ turns: [{ content: 'q' }, { content: 's' }], unread: ['far'] }])
  const refused: [string, RegExp][] = [
    ['{"question":NaN,"solution":"s"}', /expected question to be a string but received NaN/],
    ['{"question":"q","solution":-Infinity}', /expected solution to be a string but received -Infinity/],
    ['{"input_ids":[1,NaN],"labels":[1,1]}', /input_ids\[1\] to be a token id but received NaN/],
    [
      '{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"s","weight":NaN}]}',
      /messages\[1\]\.weight to be 0, 1, true or false but received NaN/,
    ],
    [
      '{"messages":[{"role":"user","content":"q"},{"role":"assistant","tool_calls":[{"name":"f","arguments":{"x":[NaN]}}]}]}',
      /arguments that JSON can write but received NaN or Infinity/,
    ],
  ]
  for (const [text, message] of refused) await t.rejects(readRecords(fileOf(t, text)), { code: 'DATA_INVALID_RECORD', message })
})
