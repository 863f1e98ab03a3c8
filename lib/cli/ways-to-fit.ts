import { adviseOnMemory } from '../train/memory-advice.js'
import type { PreparedRun } from '../train/prepare.js'
import { measureTraining, type TrainPlanOptions } from '../train/train-plan.js'
import { formatBytes, formatCount } from './format.js'

/** Ways to make a run fit, each measured: whole sentences, none where there is no limit or it fits. */
export function waysToFit(run: PreparedRun): string[] {
  const { planOptions, plan, generationBytes, model } = run
  const { memoryLimit } = planOptions
  if (memoryLimit === undefined || plan.totalBytes <= memoryLimit) return []
  const layers = model.numHiddenLayers
  const ways: string[] = []
  const tried = (changed: Partial<TrainPlanOptions>, what: string): boolean => {
    const needed = measureTraining({ ...planOptions, ...changed }, layers)
    if (needed <= memoryLimit) ways.push(`${what} fits: ${formatBytes(needed + generationBytes)}`)
    return needed <= memoryLimit
  }
  const recompute = planOptions.recompute === 'auto' ? '' : 'recompute: auto and '
  const isEnough = recompute !== '' && tried({}, 'recompute: auto')
  if (planOptions.dtype !== 'bf16') tried({ dtype: 'bf16' }, `${recompute}bf16: true, with every layer recomputed,`)
  const { largestTokens } = adviseOnMemory(planOptions, [memoryLimit])[0]!
  if (!isEnough && largestTokens > 0 && largestTokens < planOptions.maxTokens)
    ways.push(`${recompute}${shorterBatches(run, largestTokens)}`)
  if (planOptions.isTrainable === undefined)
    for (const trained of new Set([Math.ceil(layers / 2), 2, 1])) {
      const isTrainable = (name: string) => Number(/\.layers\.(\d+)\./.exec(name)?.[1] ?? -1) >= layers - trained
      const what = `${recompute}finetuning_type: freeze with freeze_trainable_layers: ${trained} and bf16: true`
      if (tried({ isTrainable, dtype: 'bf16' }, what)) break
    }
  return ways
}

/** How micro-batches come to have no more than so many tokens. */
function shorterBatches({ config, examples }: PreparedRun, tokens: number): string {
  // Packed ones have up to cutoff_len tokens; others so many samples.
  const samples = config.packing ? 1 : Math.min(config.perDeviceTrainBatchSize, examples.count)
  const cutoff = Math.floor(tokens / samples)
  const fits = `cutoff_len: ${cutoff} fits, with every layer recomputed`
  let longer = 0
  for (let i = 0; i < examples.count; i++) if (examples.infoOf(i).length > cutoff) longer += 1
  if (longer === 0) return fits
  return `${fits}; ${formatCount(longer)} of ${formatCount(examples.count)} examples are longer, which over_length: drop or truncate allows`
}
