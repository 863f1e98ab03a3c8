import { appendFileSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { MetricsWriter, readMetrics, type StepMetrics } from '../../../lib/train/metrics.js'

const row = (step: number): StepMetrics => ({
  step,
  epoch: step / 10,
  loss: 1 / step,
  gradNorm: 1,
  learningRate: 1e-5,
  scoredTokens: 10,
  tokens: 20,
  elapsedMs: 5,
  tokensPerSecond: 4000,
  peakBytes: 1000,
})

t.test('rows are lines of JSON', async (t) => {
  const output = join(t.testdir(), 'run')
  const metrics = await MetricsWriter.open(output)
  await metrics.append(row(1))
  await metrics.append({ step: 1, epoch: 0.1, evalLoss: 2 })
  await metrics.sync()
  t.equal(readFileSync(join(output, 'metrics.jsonl'), 'utf8').split('\n').length, 3, 'on the disk before it is closed')
  await metrics.close()
  t.same(await readMetrics(output), [row(1), { step: 1, epoch: 0.1, evalLoss: 2 }])
  await (await MetricsWriter.open(output)).close()
  t.same(await readMetrics(output), [], 'a new run starts anew')
})

t.test('a resumed run has every step once', async (t) => {
  const output = t.testdir()
  const first = await MetricsWriter.open(output)
  for (let step = 1; step <= 5; step++) await first.append(row(step))
  await first.append({ step: 4, epoch: 0.4, evalLoss: 1 })
  await first.close()
  appendFileSync(join(output, 'metrics.jsonl'), '{"step": 3, "lo')
  t.equal((await readMetrics(output)).length, 6, 'a torn last line is no row')
  const second = await MetricsWriter.open(output, 3)
  await second.append(row(4))
  await second.close()
  t.same(await readMetrics(output), [1, 2, 3, 4].map(row))
  t.same(readdirSync(output), ['metrics.jsonl'])
})

t.test('a run resumed where no metrics are', async (t) => {
  const output = t.testdir()
  await (await MetricsWriter.open(output, 3)).close()
  t.same(await readMetrics(output), [])
})

t.test('rows that cannot be read are not replaced', async (t) => {
  const output = t.testdir()
  mkdirSync(join(output, 'metrics.jsonl'))
  await t.rejects(MetricsWriter.open(output, 3), { code: 'IO_FAILED', message: /cannot read .*metrics\.jsonl/ })
  await t.rejects(readMetrics(output), { code: 'IO_FAILED' })
  t.same(readdirSync(output), ['metrics.jsonl'])
})

t.test('the time that the kept rows took is known', async (t) => {
  const output = t.testdir()
  const first = await MetricsWriter.open(output)
  t.equal(first.keptElapsedMs, 0)
  for (let step = 1; step <= 5; step++) await first.append({ ...row(step), elapsedMs: 100 * step })
  await first.append({ step: 3, epoch: 0.3, evalLoss: 1 })
  await first.close()
  const second = await MetricsWriter.open(output, 3)
  t.equal(second.keptElapsedMs, 300)
  await second.close()
})

t.test('metrics that cannot be written', async (t) => {
  const output = t.testdir()
  mkdirSync(join(output, 'metrics.jsonl', 'x'), { recursive: true })
  await t.rejects(MetricsWriter.open(output), { name: 'CheckpointError', code: 'WRITE_FAILED' })
  const metrics = await MetricsWriter.open(join(output, 'other'))
  await metrics.close()
  await t.rejects(metrics.append(row(1)))
})
