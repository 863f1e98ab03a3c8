import type { TensorEntry } from '../checkpoint/safetensors.js'
import type { TensorWriter } from '../checkpoint/safetensors-writer.js'
import { firstMomentName, masterName, secondMomentName } from '../checkpoint/training-state.js'
import { type ArenaRegion, loadRegion, regionWriters } from '../model/weights.js'
import { type PlacedWeight, trainedWeights } from '../plan/parameters.js'
import type { TrainSession } from './train-session.js'

type Tensors = ReadonlyMap<string, TensorEntry>

/**
 * Reads the weights of a model from its files. In bfloat16 the master weights come from `masters` where there are some, as of a
 * checkpoint; what is not trained has no master weights and goes straight to where products read it.
 *
 * @throws CheckpointError IO_FAILED, TENSOR_MISSING, TENSOR_MISMATCH
 */
export async function loadWeights(
  session: TrainSession,
  model: Tensors,
  { masters, signal }: { masters?: Tensors | undefined; signal?: AbortSignal | undefined } = {},
): Promise<void> {
  if (session.plan.dtype === 'f32') return loadRegion(masterRegion(session), weightsOf(session), model, undefined, signal)
  await loadRegion(masterRegion(session), trainedOf(session), masters ?? model, masters && masterName, signal)
  const frozen = weightsOf(session).filter(({ trainable }) => !trainable)
  await loadRegion({ arena: session.arenas.weights, offset: 0, dtype: 'bf16' }, frozen, model, undefined, signal)
  await session.roundWeights()
}

/** Reads AdamW's moments from a checkpoint. Throws as `loadWeights`. */
export async function loadMoments(session: TrainSession, optimizer: Tensors, signal?: AbortSignal): Promise<void> {
  await loadRegion(momentRegion(session, 0), trainedOf(session), optimizer, firstMomentName, signal)
  await loadRegion(momentRegion(session, 1), trainedOf(session), optimizer, secondMomentName, signal)
}

/** Writers of the weights as products read them: what a model folder has. */
export function modelWriters(session: TrainSession): TensorWriter[] {
  const { dtype } = session.plan
  const region = dtype === 'f32' ? masterRegion(session) : { arena: session.arenas.weights, offset: 0, dtype }
  return regionWriters(region, weightsOf(session))
}

/** Writers of what a checkpoint has besides, for every weight that is trained: moments, and in bfloat16 master weights. */
export function optimizerWriters(session: TrainSession): TensorWriter[] {
  return [
    ...regionWriters(momentRegion(session, 0), trainedOf(session), firstMomentName),
    ...regionWriters(momentRegion(session, 1), trainedOf(session), secondMomentName),
    ...(session.plan.dtype === 'bf16' ? regionWriters(masterRegion(session), trainedOf(session), masterName) : []),
  ]
}

function weightsOf({ plan }: TrainSession): PlacedWeight[] {
  return [...plan.layout.parts.values()]
}

function trainedOf({ plan }: TrainSession): PlacedWeight[] {
  return trainedWeights(plan.layout)
}

function masterRegion({ arenas }: TrainSession): ArenaRegion {
  return { arena: arenas.parameters, offset: 0 }
}

/** The first moments, then the second. */
function momentRegion({ arenas, plan }: TrainSession, moment: 0 | 1): ArenaRegion {
  return { arena: arenas.optimizer, offset: moment * plan.layout.trainedBytes }
}
