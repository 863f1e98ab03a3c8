import type { PackedBatch } from '../data/packer.js'
import { NativeError } from '../errors.js'
import { formatBytes } from '../format-bytes.js'
import { backendOf } from '../native/backend.js'
import type { Arena, CompiledProgram, Device } from '../native/device.js'
import { type ArenaName, arenaNames, type StepPlan } from './step-plan.js'

/** The programs of a training step, compiled on a device, with their arenas. */
export class TrainStep {
  private readonly programs: Record<keyof StepPlan['programs'], CompiledProgram>
  readonly arenas: Record<ArenaName, Arena>

  private constructor(
    readonly plan: StepPlan,
    device: Device,
  ) {
    const arenas = arenaNames.map((name) => allocate(device, plan, name))
    this.arenas = Object.fromEntries(arenaNames.map((name, index) => [name, arenas[index]!])) as Record<ArenaName, Arena>
    const compile = (name: keyof StepPlan['programs']) => device.compile(plan.programs[name].description, arenas)
    this.programs = {
      microStep: compile('microStep'),
      evaluate: compile('evaluate'),
      update: compile('update'),
      roundWeights: compile('roundWeights'),
    }
  }

  /** Allocates what the plan says, no more, and compiles the programs. Weights and moments are zero until they are loaded. */
  static async create(device: Device, plan: StepPlan): Promise<TrainStep> {
    const { name } = backendOf(device.name)
    if (plan.backend !== name)
      throw new NativeError(
        'PROGRAM_INVALID',
        `expected a plan for ${name} on ${device.name} but it was made for ${plan.backend}`,
      )
    const step = new TrainStep(plan, device)
    for (const { offset, values } of plan.constants) await step.arenas.inputs.write(offset, values)
    return step
  }

  /** To be called once the master weights are in their arena: products in bfloat16 read them rounded. */
  async roundWeights(): Promise<void> {
    await this.programs.roundWeights.run()
  }

  /** Forward and backward of one packed batch; its gradients are added to those of the step. */
  async runMicroStep(batch: PackedBatch, signal?: AbortSignal): Promise<{ loss: number; tokenLosses: Float32Array }> {
    return lossOf(await this.programs.microStep.run({ inputs: inputsOf(batch), signal }))
  }

  /** Forward only: the loss of a packed batch with the weights at hand. */
  async evaluate(batch: PackedBatch, signal?: AbortSignal): Promise<{ loss: number; tokenLosses: Float32Array }> {
    return lossOf(await this.programs.evaluate.run({ inputs: inputsOf(batch), signal }))
  }

  /**
   * Clips the accumulated gradients, updates the weights and sets the gradients to zero. `step` counts from 1.
   *
   * @returns the norm of the gradients before clipping
   * @throws NativeError NON_FINITE when that norm is not a finite number; the weights are then unchanged
   */
  async update(step: number, learningRate: number): Promise<number> {
    const { grad_norm } = await this.programs.update.run({ scalars: { step, learning_rate: learningRate } })
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

function allocate(device: Device, plan: StepPlan, name: ArenaName): Arena {
  try {
    return device.allocate(plan.bytes[name])
  } catch (error) {
    if (!(error instanceof NativeError) || error.code !== 'OUT_OF_MEMORY') throw error
    throw new NativeError(
      'OUT_OF_MEMORY',
      `${error.message}. It was for the ${name} of a run that takes ${formatBytes(plan.totalBytes)} in all (\`limo-native plan\` has ` +
        'the parts). Lower cutoff_len, set memory_limit so that `recompute: auto` fits it, take a smaller model or free the device.',
      { arena: name, bytes: plan.bytes[name], totalBytes: plan.totalBytes, device: device.name },
      { cause: error },
    )
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
