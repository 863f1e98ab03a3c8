import type { ModelFolder } from '../checkpoint/model-folder.js'
import type { PackedBatch } from '../data/packer.js'
import { NativeError } from '../errors.js'
import { formatBytes } from '../format-bytes.js'
import { aligned, type Bounds, planMemory } from '../graph/memory-plan.js'
import { describeProgram } from '../graph/program.js'
import { layOutParameters } from '../model/parameters.js'
import { loadRegion } from '../model/weights.js'
import type { ComputeDtype } from '../native/addon-types.js'
import type { CompiledProgram, Device } from '../native/device.js'
import { inputsOf } from './step.js'
import { arenaNames, buildDecoderGraph, buildRounding, layOutInputs, placeFixed } from './step-plan.js'

export interface EvaluatorOptions extends Bounds {
  dtype: ComputeDtype
  /** Most bytes to allocate. */
  memoryLimit?: number | undefined
}

/** The forward pass and its loss alone: a model on a device, without gradients and optimizer state. */
export class Evaluator {
  private constructor(private readonly program: CompiledProgram) {}

  /** Plans, allocates and loads. Throws a NativeError OUT_OF_MEMORY, and the errors of reading weights. */
  static async load(device: Device, model: ModelFolder, options: EvaluatorOptions): Promise<Evaluator> {
    const { dtype, memoryLimit, ...bounds } = options
    const layout = layOutParameters(model.config)
    const planned = { config: model.config, dtype, device: device.name, maxTokens: bounds.maxTokens }
    const graph = buildDecoderGraph(planned, layout, { train: false, recomputed: 0 })
    const rounding = buildRounding(layout, dtype)
    const inputs = layOutInputs(graph, bounds)
    const memory = planMemory(graph, bounds)
    const bytes: Record<(typeof arenaNames)[number], number> = {
      parameters: layout.bytes,
      weights: dtype === 'f32' ? 0 : layout.bytes / 2,
      gradients: 0,
      optimizer: 0,
      inputs: inputs.bytes,
      activations: aligned(memory.bytes),
    }
    const total = Object.values(bytes).reduce((sum, size) => sum + size, 0)
    if (memoryLimit !== undefined && total > memoryLimit) {
      const message = `expected an evaluation within ${formatBytes(memoryLimit)} but it takes ${formatBytes(total)}. Free memory or raise memory_limit.`
      throw new NativeError('OUT_OF_MEMORY', message, { bytes: total, limit: memoryLimit })
    }
    const arenas = arenaNames.map((name) => device.allocate(bytes[name]))
    const activationArena = arenaNames.indexOf('activations')
    const place = placeFixed(layout, inputs.offsets)
    const program = device.compile(describeProgram(graph, { memory, activationArena, place }), arenas)
    const flat = { maxTokens: 0, maxSequences: 0 }
    const placeFlat = (tensor: Parameters<typeof place>[0]) => rounding.places.get(tensor)!
    const roundWeights = device.compile(
      describeProgram(rounding.graph, { memory: planMemory(rounding.graph, flat), activationArena, place: placeFlat }),
      arenas,
    )
    for (const [tensor, values] of graph.constants) {
      await arenas[arenaNames.indexOf('inputs')]!.write(inputs.offsets.get(tensor.name)!, values)
    }
    await loadRegion({ arena: arenas[arenaNames.indexOf('parameters')]!, offset: 0 }, layout, model.tensors)
    await roundWeights.run()
    return new Evaluator(program)
  }

  /** [T], the loss in nats at each position, for what it must predict; 0 where that is not scored. */
  async tokenLosses(batch: PackedBatch): Promise<Float32Array> {
    const { token_loss } = await this.program.run({ inputs: inputsOf(batch) })
    return token_loss!
  }
}
