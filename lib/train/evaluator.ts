import type { ModelFolder } from '../checkpoint/model-folder.js'
import type { PackedBatch } from '../data/packer.js'
import { NativeError } from '../errors.js'
import { formatBytes } from '../format-bytes.js'
import type { Bounds } from '../graph/memory-plan.js'
import { loadRegion } from '../model/weights.js'
import type { ComputeDtype } from '../native/addon-types.js'
import type { Device } from '../native/device.js'
import { Session } from '../plan/session.js'
import { planEvaluation } from './train-plan.js'
import { inputsOf } from './train-session.js'

export interface EvaluatorOptions extends Bounds {
  dtype: ComputeDtype
  /** Most bytes to allocate. */
  memoryLimit?: number | undefined
}

/** The forward pass and its loss alone: a model on a device, without gradients and optimizer state. */
export class Evaluator {
  private constructor(private readonly session: Session<string, 'evaluate'>) {}

  /** Plans, allocates and loads. Throws a NativeError OUT_OF_MEMORY, and the errors of reading weights. */
  static async load(device: Device, model: ModelFolder, { memoryLimit, ...options }: EvaluatorOptions): Promise<Evaluator> {
    const { layout, ...plan } = planEvaluation({
      ...options,
      config: model.config,
      device: device.name,
      threads: device.info.threads,
    })
    const bytes = plan.totalBytes - plan.bytes.scratch
    if (memoryLimit !== undefined && bytes > memoryLimit) {
      const message = `expected an evaluation within ${formatBytes(memoryLimit)} but it takes ${formatBytes(bytes)}. Free memory or raise memory_limit.`
      throw new NativeError('OUT_OF_MEMORY', message, { bytes, limit: memoryLimit })
    }
    const session = await Session.open(plan, device)
    await loadRegion({ arena: session.arenas.weights, offset: 0, dtype: options.dtype }, layout.parts.values(), model.tensors)
    return new Evaluator(session)
  }

  /** [T], the loss in nats at each position, for what it must predict; 0 where that is not scored. */
  async tokenLosses(batch: PackedBatch): Promise<Float32Array> {
    const { token_loss } = await this.session.run('evaluate', { inputs: inputsOf(batch) })
    return token_loss!
  }
}
