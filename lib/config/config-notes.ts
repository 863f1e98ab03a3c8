import type { TrainConfig } from './train-settings.js'

/** What a user should know of a config, a line each: what is ignored, what is done otherwise than the words suggest. */
export function configNotes(config: TrainConfig, given: Set<string>, ignored: string[]): string[] {
  const notes: string[] = []
  if (ignored.includes('deepspeed')) {
    const examples = config.perDeviceTrainBatchSize * config.gradientAccumulationSteps
    notes.push(
      `deepspeed: one process needs no sharding, the file is not read; a step takes ${examples} ` +
        `${examples === 1 ? 'example' : 'examples'} where N ranks took N times as many: gradient_accumulation_steps makes up for them`,
    )
  }
  const others = ignored.filter((key) => key !== 'deepspeed').sort()
  if (others.length > 0) notes.push(`ignored, without effect here: ${others.join(', ')}`)
  const freezing = [...given].filter((key) => key.startsWith('freeze_')).sort()
  if (config.freeze === undefined && freezing.length > 0)
    notes.push(`${freezing.join(', ')}: without effect, as everything is trained; set finetuning_type: freeze`)
  if (config.lrSchedulerType === 'constant' && (config.warmupSteps ?? config.warmupRatio) > 0) {
    notes.push('lr_scheduler_type constant: the warm-up is done, as with constant_with_warmup')
  }
  for (const key of ['gradient_checkpointing', 'disable_gradient_checkpointing'])
    if (given.has('recompute') && given.has(key)) notes.push(`${key}: without effect beside recompute: ${config.recompute}`)
  const hasNone = config.valSize === 0 && config.evalDataset === undefined
  for (const key of ['eval_steps', 'eval_on_start'])
    if (hasNone && given.has(key)) notes.push(`${key}: nothing is evaluated because val_size is 0`)
  if (config.valSize > 0 && config.evalStrategy === 'no')
    notes.push('val_size: records are held out but never evaluated; set eval_steps')
  if (config.evalDataset !== undefined && config.evalStrategy === 'no')
    notes.push('eval_dataset: it is read but never evaluated; set eval_steps')
  return notes
}
