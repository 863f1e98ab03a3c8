import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type LrSchedule, learningRateAt, warmupStepsOf } from '../../../lib/train/lr-schedule.js'
import { sharedPath } from '../../shared-files.js'

const schedule = (change: Partial<LrSchedule>): LrSchedule => ({
  learningRate: 2,
  type: 'cosine',
  warmupSteps: 0,
  totalSteps: 4,
  minLrRate: 0,
  ...change,
})
const rates = (change: Partial<LrSchedule>) => {
  const whole = schedule(change)
  return Array.from({ length: whole.totalSteps }, (_, step) => Number(learningRateAt(step, whole).toFixed(12)))
}

t.test('schedules without warm-up start at the full rate', async (t) => {
  t.same(rates({ type: 'cosine' }), [2, Number((1 + Math.SQRT1_2).toFixed(12)), 1, Number((1 - Math.SQRT1_2).toFixed(12))])
  t.same(rates({ type: 'linear' }), [2, 1.5, 1, 0.5])
  t.same(rates({ type: 'constant' }), [2, 2, 2, 2])
  t.equal(rates({ type: 'cosine_with_min_lr', minLrRate: 0.5 })[2], 1.5)
})

t.test('warm-up starts at 0 and ends at the full rate', async (t) => {
  t.same(rates({ type: 'linear', warmupSteps: 2 }), [0, 1, 2, 1])
  t.same(rates({ type: 'cosine', warmupSteps: 2 }), [0, 1, 2, 1])
  t.same(rates({ type: 'constant_with_warmup', warmupSteps: 2 }), [0, 1, 2, 2])
  t.same(rates({ type: 'cosine', warmupSteps: 8 }), [0, 0.25, 0.5, 0.75], 'longer than the run')
  t.same(rates({ type: 'cosine', warmupSteps: 1, totalSteps: 1 }), [0])
})

t.test('the end of a schedule', async (t) => {
  t.ok(Math.abs(learningRateAt(4, schedule({ type: 'cosine' }))) < 1e-15)
  t.equal(learningRateAt(4, schedule({ type: 'linear' })), 0)
  t.equal(learningRateAt(9, schedule({ type: 'linear' })), 0)
  t.equal(learningRateAt(4, schedule({ type: 'cosine_with_min_lr', minLrRate: 0.1 })), 0.2)
})

t.test('a ratio of warm-up is rounded up, a number wins', async (t) => {
  t.equal(warmupStepsOf({ warmupRatio: 0.1 }, 15), 2)
  t.equal(warmupStepsOf({ warmupRatio: 0 }, 15), 0)
  t.equal(warmupStepsOf({ warmupRatio: 0.5, warmupSteps: 3 }, 15), 3)
})

interface Settings {
  learning_rate: number
  lr_scheduler_type: LrSchedule['type']
  warmup_steps: number
  steps: number
}

for (const family of ['qwen2', 'qwen3', 'llama3']) {
  const folder = sharedPath('golden', family)
  t.test(`the rates of ${family}'s golden runs`, { skip: folder === undefined && 'shared/golden is absent' }, async (t) => {
    const { training } = JSON.parse(readFileSync(join(folder!, 'expected.json'), 'utf8'))
    const run = JSON.parse(readFileSync(join(folder!, 'run.json'), 'utf8'))
    const columns: [Settings, { lr: number }[]][] = [
      [training, training.trajectory],
      [run, run.loss_reduction.token],
      [run, run.loss_reduction.sample],
    ]
    for (const [settings, steps] of columns) {
      const whole: LrSchedule = {
        learningRate: settings.learning_rate,
        type: settings.lr_scheduler_type,
        warmupSteps: settings.warmup_steps,
        totalSteps: settings.steps,
        minLrRate: 0,
      }
      t.equal(steps.length, settings.steps)
      for (const [step, { lr }] of steps.entries()) {
        t.ok(Math.abs(learningRateAt(step, whole) - lr) <= 1e-15, `step ${step}: ${learningRateAt(step, whole)} is ${lr}`)
      }
    }
  })
}
