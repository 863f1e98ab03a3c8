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
  const known = {
    aime: 0.571,
    AIME24: 0.571,
    math: 0.948,
    math500: 0.948,
    'amc-23': 0.92,
    olympiadbench: 0.668,
    minerva_math: 0.449,
  }
  for (const [name, accuracy] of Object.entries(known)) t.equal(publishedAccuracy(name), accuracy, name)
  for (const name of ['aime25', 'mathqa', 'gsm8k', 'my-math']) t.equal(publishedAccuracy(name), undefined, name)
})

t.test('benchmarks are named by their files', async (t) => {
  const folder = t.testdir({
    'a.jsonl': '{"question": "1+1?", "answer": 2}\n{"problem": "2+2?", "answer": 4.0}\n',
    b: { 'a.jsonl': '{"prompt": "3?", "solution": "it is", "final_answer": "3"}\n' },
  })
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
