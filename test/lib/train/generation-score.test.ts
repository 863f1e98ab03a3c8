import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseTrainConfig } from '../../../lib/config/train-config.js'
import { examplesOf } from '../../../lib/data/examples.js'
import { loadTokenizer } from '../../../lib/data/tokenizer/tokenizer.js'
import { heldOutProblemsOf } from '../../../lib/train/generation-score.js'
import { type EvalMetrics, readMetrics } from '../../../lib/train/metrics.js'
import { prepareRun } from '../../../lib/train/prepare.js'
import { train } from '../../../lib/train/trainer.js'
import { tinySettings, writeTinyInputs } from '../../tiny-inputs.js'

async function run(settings: Record<string, unknown>): Promise<EvalMetrics[]> {
  const { config } = parseTrainConfig(settings, 'test')
  const evaluations: EvalMetrics[] = []
  for await (const event of train(config)) if (event.type === 'evaluation') evaluations.push(event)
  return evaluations
}

for (const bf16 of [false, true]) {
  t.test(`held out problems are answered at each evaluation, and training is what it was, bf16 ${bf16}`, async (t) => {
    const folder = t.testdir()
    const inputs = await writeTinyInputs(folder)
    const settings = { val_size: 5, eval_steps: 2, max_steps: 5, bf16 }
    const [withAnswers, without] = [join(folder, 'with'), join(folder, 'without')]
    const answers = { predict_with_generate: true, predict_samples: 3, max_new_tokens: 9 }
    const evaluations = await run({ ...tinySettings(inputs, withAnswers), ...settings, ...answers })
    t.same(
      evaluations.map(({ step }) => step),
      [2, 4, 5],
    )
    for (const { evalAccuracy, evalCutOff, completions } of evaluations) {
      t.equal(evalCutOff, 1, 'nine tokens are no answer')
      t.equal(evalAccuracy, 0, 'nothing is right after five steps')
      t.equal(completions!.length, 3)
      t.match(completions![0], {
        place: /chains\.jsonl:\d+/,
        completion: String,
        answer: /^\d+$/,
        extracted: null,
        correct: false,
        cutOff: true,
      })
    }
    const rows = (await readMetrics(withAnswers)).filter((row) => 'evalLoss' in row)
    t.match(rows[0], { step: 2, evalAccuracy: 0 })

    const others = await run({ ...tinySettings(inputs, without), ...settings })
    t.same(
      others,
      evaluations.map(({ evalAccuracy, evalCutOff, completions, ...rest }) => rest),
    )
    const weights = (output: string) => readFileSync(join(output, 'model.safetensors'))
    t.ok(weights(withAnswers).equals(weights(without)), 'the same bits')
  })
}

t.test('the problem of an example is what comes before its last response', async (t) => {
  const folder = t.testdir()
  const { modelFolder } = await writeTinyInputs(folder)
  const tokenizer = await loadTokenizer(modelFolder)
  const ids = tokenizer.encode('ask so \\boxed{7} ok')
  const example = (scored: (position: number) => boolean) => ({
    place: 'here',
    inputIds: Int32Array.from(ids),
    labels: Int32Array.from(ids, (id, position) => (scored(position) ? id : -100)),
    scoredTokens: 1,
  })
  const problems = heldOutProblemsOf(
    examplesOf([example((position) => position >= 4), example((position) => position >= 4 && position < 7)]),
    5,
    tokenizer,
  )
  t.same(
    problems.map(({ promptIds, answer }) => ({ prompt: tokenizer.decode(promptIds), answer })),
    [
      { prompt: 'ask ', answer: '7' },
      { prompt: 'ask ', answer: undefined },
    ],
  )
})

t.test('what it takes is planned, and what it needs is said', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder)
  const settings = { ...tinySettings(inputs, join(folder, 'out')), predict_with_generate: true }
  const prepare = (more: Record<string, unknown>) => prepareRun(parseTrainConfig({ ...settings, ...more }, 'test').config)
  await t.rejects(prepare({}), { code: 'CONFIG_INVALID_VALUE', message: /val_size or eval_dataset with predict_with_generate/ })
  const { generation, generationBytes, plan } = await prepare({ val_size: 4, max_new_tokens: 50 })
  const { cache, inputs: inputBytes, activations } = generation!.plan.bytes
  t.equal(generationBytes, cache + inputBytes + activations)
  await t.rejects(prepare({ val_size: 4, recompute: 'none', memory_limit: plan.totalBytes + 1000 }), { code: 'OUT_OF_MEMORY' })
})
