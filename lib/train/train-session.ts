import type { PackedBatch } from '../data/packer.js'
import { NativeError } from '../errors.js'
import type { Arena, Device } from '../native/device.js'
import type { CommonStorage } from '../plan/plan.js'
import { Session } from '../plan/session.js'
import type { TrainPlan, TrainProgram } from './train-plan.js'
import type { TrainStorage } from './update-graphs.js'

/** The programs of a training step on a device, with their memory. */
export class TrainSession {
  private constructor(
    readonly plan: TrainPlan,
    private readonly session: Session<TrainStorage | CommonStorage, TrainProgram>,
  ) {}

  /** The memory of each storage of the plan. */
  get arenas(): Readonly<Record<TrainStorage | CommonStorage, Arena>> {
    return this.session.arenas
  }

  /** Allocates what the plan says, no more, and compiles the programs. Weights and moments are zero until they are loaded. */
  static async create(device: Device, plan: TrainPlan): Promise<TrainSession> {
    return new TrainSession(plan, await Session.open(plan, device))
  }

  /** To be called once the master weights are in their arena: products in bfloat16 read them rounded. */
  async roundWeights(): Promise<void> {
    await this.session.run('roundWeights')
  }

  /** Forward and backward of one packed batch; its gradients are added to those of the step. */
  async runMicroStep(batch: PackedBatch, signal?: AbortSignal): Promise<{ loss: number; tokenLosses: Float32Array }> {
    return lossOf(await this.session.run('microStep', { inputs: inputsOf(batch), signal }))
  }

  /** Forward only: the loss of a packed batch with the weights at hand. */
  async evaluate(batch: PackedBatch, signal?: AbortSignal): Promise<{ loss: number; tokenLosses: Float32Array }> {
    return lossOf(await this.session.run('evaluate', { inputs: inputsOf(batch), signal }))
  }

  /**
   * Clips the accumulated gradients, updates the weights and sets the gradients to zero. `step` counts from 1.
   *
   * @returns the norm of the gradients before clipping
   * @throws NativeError NON_FINITE when that norm is not a finite number; the weights are then unchanged
   */
  async update(step: number, learningRate: number): Promise<number> {
    const { grad_norm } = await this.session.run('update', { scalars: { step, learning_rate: learningRate } })
    const norm = grad_norm![0]!
    if (!Number.isFinite(norm)) {
      throw new NativeError(
        'NON_FINITE',
        `expected a finite gradient norm at step ${step} but received ${norm}; the weights were not changed. Lower learning_rate, ` +
          'or look at the examples of this step with `limo-native inspect`.',
        { step },
      )
    }
    return norm
  }
}

export function inputsOf(batch: PackedBatch): Record<string, Int32Array | Float32Array> {
  return {
    input_ids: batch.inputIds,
    labels: batch.labels,
    loss_weights: batch.lossWeights,
    positions: batch.positions,
    cu_seqlens: batch.cuSeqlens,
  }
}

function lossOf(outputs: Record<string, Float32Array>): { loss: number; tokenLosses: Float32Array } {
  return { loss: outputs.loss![0]!, tokenLosses: outputs.token_loss! }
}
