import t from 'tap'
import { readBenchmarks } from '../../../lib/eval/benchmark.js'
import { protocolFor } from '../../../lib/eval/protocol.js'
import { publishedAccuracy } from '../../../lib/eval/published-accuracy.js'

t.test('LIMO asks small sets four times and large ones once', async (t) => {
  t.match(protocolFor(49), { samples: 4, sampling: { temperature: 0.6, topP: 1, topK: 0, maxNewTokens: 32_768 } })
  t.match(protocolFor(50), { samples: 1, sampling: { temperature: 0, repetitionPenalty: 1, maxNewTokens: 32_768 } })
  t.match(protocolFor(30).system, /^Please reason step by step, and put your final answer within \\boxed\{\}\.$/)
  t.match(protocolFor(30, { samples: 2, system: '', sampling: { temperature: 1 } }), {
    samples: 2,
    system: '',
    sampling: { temperature: 1, maxNewTokens: 32_768 },
  })
  t.throws(() => protocolFor(5, { preset: 'constructor' }), { code: 'CONFIG_INVALID_VALUE' })
  t.throws(() => protocolFor(5, { samples: 1.5 }), { code: 'CONFIG_INVALID_VALUE' })
})

t.test('published numbers stand beside the sets that they are of', async (t) => {
  const names = [
    'aime',
    'amc',
    'cn_math_2024',
    'gaokao',
    'gpqa',
    'grade_school_math',
    'kaoyan',
    'math',
    'minerva',
    'olympiadbench',
  ]
  const mean = (of: number[]) => Math.round((1000 * of.reduce((sum, value) => sum + value)) / of.length) / 1000
  // The means are published, too.
  t.equal(mean(names.map((name) => publishedAccuracy(name)!.v1)), 0.728)
  t.equal(mean(names.map((name) => publishedAccuracy(name)!.v3)), 0.781)
  const known = { AIME24: 0.571, math500: 0.948, 'amc-23': 0.92, minerva_math: 0.449, CHMath: 0.754, gpqa_diamond: 0.667 }
  for (const [name, accuracy] of Object.entries(known)) t.equal(publishedAccuracy(name)?.v1, accuracy, name)
  for (const name of ['aime25', 'mathqa', 'gsm8k', 'my-math', 'cn_math_2025']) t.equal(publishedAccuracy(name), undefined, name)
})

t.test('benchmarks are named by their files', async (t) => {
  const folder = t.testdir({
    'a.jsonl': '{"question": "1+1?", "answer": 2}\n{"problem": "2+2?", "answer": 4.0}\n',
    kaoyan: { 'test.jsonl': '{"question": "1+1?", "answer": 2}\n' },
    b: { 'a.jsonl': '{"prompt": "3?", "solution": "it is", "final_answer": "3"}\n' },
  })
  t.equal((await readBenchmarks([`${folder}/kaoyan/test.jsonl`]))[0]!.name, 'kaoyan')
  const benchmarks = await readBenchmarks([`${folder}/a.jsonl`, `${folder}/b/a.jsonl`])
  t.same(
    benchmarks.map(({ name, problems }) => ({ name, problems })),
    [
      {
        name: 'a',
        problems: [
          { index: 0, question: '1+1?', answer: '2' },
          { index: 1, question: '2+2?', answer: '4' },
        ],
      },
      { name: 'a-2', problems: [{ index: 0, question: '3?', answer: '3' }] },
    ],
  )
})
