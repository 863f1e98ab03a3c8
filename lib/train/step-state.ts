import type { TensorEntry } from '../checkpoint/safetensors.js'
import type { TensorWriter } from '../checkpoint/safetensors-writer.js'
import { firstMomentName, masterName, secondMomentName } from '../checkpoint/training-state.js'
import { type ArenaRegion, loadRegion, regionWriters } from '../model/weights.js'
import { type PlacedWeight, trainedWeights } from '../plan/parameters.js'
import type { TrainStep } from './step.js'

type Tensors = ReadonlyMap<string, TensorEntry>

/**
 * Reads the weights of a model from its files. In bfloat16 the master weights come from `masters` where there are some, as of a
 * checkpoint; what is not trained has no master weights and goes straight to where products read it.
 *
 * @throws CheckpointError IO_FAILED, TENSOR_MISSING, TENSOR_MISMATCH
 */
export async function loadWeights(
  step: TrainStep,
  model: Tensors,
  { masters, signal }: { masters?: Tensors | undefined; signal?: AbortSignal | undefined } = {},
): Promise<void> {
  if (step.plan.dtype === 'f32') return loadRegion(masterRegion(step), weightsOf(step), model, undefined, signal)
  await loadRegion(masterRegion(step), trainedOf(step), masters ?? model, masters && masterName, signal)
  const frozen = weightsOf(step).filter(({ trainable }) => !trainable)
  await loadRegion({ arena: step.arenas.weights, offset: 0, dtype: 'bf16' }, frozen, model, undefined, signal)
  await step.roundWeights()
}

/** Reads AdamW's moments from a checkpoint. Throws as `loadWeights`. */
export async function loadMoments(step: TrainStep, optimizer: Tensors, signal?: AbortSignal): Promise<void> {
  await loadRegion(momentRegion(step, 0), trainedOf(step), optimizer, firstMomentName, signal)
  await loadRegion(momentRegion(step, 1), trainedOf(step), optimizer, secondMomentName, signal)
}

/** Writers of the weights as products read them: what a model folder has. */
export function modelWriters(step: TrainStep): TensorWriter[] {
  const { dtype } = step.plan
  const region = dtype === 'f32' ? masterRegion(step) : { arena: step.arenas.weights, offset: 0, dtype }
  return regionWriters(region, weightsOf(step))
}

/** Writers of what a checkpoint has besides, for every weight that is trained: moments, and in bfloat16 master weights. */
export function optimizerWriters(step: TrainStep): TensorWriter[] {
  return [
    ...regionWriters(momentRegion(step, 0), trainedOf(step), firstMomentName),
    ...regionWriters(momentRegion(step, 1), trainedOf(step), secondMomentName),
    ...(step.plan.dtype === 'bf16' ? regionWriters(masterRegion(step), trainedOf(step), masterName) : []),
  ]
}

function weightsOf({ plan }: TrainStep): PlacedWeight[] {
  return [...plan.layout.parts.values()]
}

function trainedOf({ plan }: TrainStep): PlacedWeight[] {
  return trainedWeights(plan.layout)
}

function masterRegion({ arenas }: TrainStep): ArenaRegion {
  return { arena: arenas.parameters, offset: 0 }
}

/** The first moments, then the second. */
function momentRegion({ arenas, plan }: TrainStep, moment: 0 | 1): ArenaRegion {
  return { arena: arenas.optimizer, offset: moment * plan.layout.trainedBytes }
}
