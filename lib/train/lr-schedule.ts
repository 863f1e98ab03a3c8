/** How the learning rate changes over a run; the names are those of Transformers' `lr_scheduler_type`. */
export interface LrSchedule {
  /** The highest rate. */
  learningRate: number
  type: 'cosine' | 'linear' | 'constant' | 'constant_with_warmup' | 'cosine_with_min_lr'
  warmupSteps: number
  totalSteps: number
  /** The lowest rate as a share of the highest, for cosine_with_min_lr. */
  minLrRate: number
}

/** The settings that a schedule follows from. */
export interface LrSettings {
  learningRate: number
  lrSchedulerType: LrSchedule['type']
  minLrRate: number
  warmupSteps?: number
  warmupRatio: number
}

/** The schedule of a run of so many steps. */
export function lrScheduleOf(config: LrSettings, totalSteps: number): LrSchedule {
  const { learningRate, lrSchedulerType: type, minLrRate } = config
  return { learningRate, type, warmupSteps: warmupStepsOf(config, totalSteps), totalSteps, minLrRate }
}

/** Steps of warm-up, as Transformers counts them: the number where it is given, else a share of the steps, rounded up. */
export function warmupStepsOf(config: { warmupSteps?: number; warmupRatio: number }, totalSteps: number): number {
  return config.warmupSteps ?? Math.ceil(totalSteps * config.warmupRatio)
}

/**
 * The learning rate that a step uses; steps count from 0.
 *
 * With Transformers' `LambdaLR` schedules (optimization.py): warm-up is step / warmupSteps, so the first step of a warm-up
 * has rate 0; then, with p = (step - warmup) / (total - warmup), cosine is (1 + cos(πp)) / 2 and linear is 1 - p; the
 * cosine with a minimum is min + (1 - min) of the cosine.
 */
export function learningRateAt(step: number, schedule: LrSchedule): number {
  return schedule.learningRate * rateAt(step, schedule)
}

function rateAt(step: number, { type, warmupSteps, totalSteps, minLrRate }: LrSchedule): number {
  if (step < warmupSteps) return step / warmupSteps
  const progress = (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps)
  const cosine = 0.5 * (1 + Math.cos(Math.PI * progress))
  switch (type) {
    case 'cosine':
      return cosine
    case 'cosine_with_min_lr':
      return cosine * (1 - minLrRate) + minLrRate
    case 'linear':
      return Math.max(0, 1 - progress)
    case 'constant':
    case 'constant_with_warmup':
      return 1
  }
}
