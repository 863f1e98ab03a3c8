import type { BackendName } from '../config/device-name.js'
import type { Graph } from '../graph/graph.js'
import { aligned, type Bounds, type MemoryPlan, planMemory, tensorBytes } from '../graph/memory-plan.js'
import { describeProgram, programText } from '../graph/program.js'
import type { Tensor } from '../graph/tensor.js'
import type { ProgramDescription } from '../native/addon-types.js'
import { type Backend, backendOf } from '../native/backend.js'

/** A piece of a device's memory, allocated as one. */
export interface Storage<S extends string = string> {
  name: S
  bytes: number
}

/** Place of a tensor for as long as its plan is in use. */
export interface Placement<S extends string = string> {
  storage: S
  /** Bytes. */
  offset: number
}

export interface PlannedProgram {
  /** Numbers the storages in the order of the plan. */
  description: ProgramDescription
  text: string
}

/** Programs and their memory: everything that is known before anything is allocated, on a machine that need not have the device. */
export interface Plan<S extends string = string, P extends string = string> {
  /** The kind of device that can run it. */
  backend: BackendName
  storages: readonly Storage<S>[]
  programs: Readonly<Record<P, PlannedProgram>>
  /** Values that are written once, before the first run. */
  constants: readonly { storage: S; offset: number; values: Float32Array }[]
  /** Bytes of each storage; `scratch` is the working memory of the device. */
  bytes: Readonly<Record<S | 'scratch', number>>
  totalBytes: number
  /** Advice for whoever has not the memory for it: whole sentences. */
  remedy?: string
}

/** The storages that every plan has: what a run brings and constants, and what programs make, each as large as its largest program needs. */
export type CommonStorage = 'inputs' | 'activations'

/** The memory of a program that is added to a plan. */
export interface ProgramMemory<S extends string> {
  bounds: Bounds
  /** Memory plan of the graph's activations, where it is known already. */
  memory?: MemoryPlan
  /** Placement of tensors that outlive a run: parameters, gradients, optimizer state, caches. */
  place?: (tensor: Tensor) => Placement<S>
}

/** The device that a plan is for. */
export interface PlanDevice {
  /** Its name; `cpu` when absent. */
  device?: string | undefined
  /** Threads of the CPU: each has working memory. */
  threads: number
}

const nowhere = (tensor: Tensor): never => {
  throw new Error(`${tensor.name} has no placement`)
}

/**
 * Makes a plan: storages of known sizes, and programs that share them. Constants of the same name are one; inputs of one program lie
 * over those of another, for each run brings its own.
 *
 * @example
 * const plan = new PlanBuilder<'weights', 'forward'>({ weights: layout.bytes }, { device: 'cpu', threads: 2 })
 *   .add('forward', graph, { bounds, place: (tensor) => ({ storage: 'weights', offset: offsets.get(tensor.name)! }) })
 *   .build()
 */
export class PlanBuilder<S extends string, P extends string> {
  private readonly backend: Backend
  private readonly programs = new Map<P, { graph: Graph; memory: MemoryPlan; place: (tensor: Tensor) => Placement<S> }>()

  /** `sizes`: bytes of each storage, in the order in which programs number them; `inputs` and `activations` come after them. */
  constructor(
    private readonly sizes: Readonly<Record<S, number>>,
    private readonly device: PlanDevice,
  ) {
    this.backend = backendOf(device.device ?? 'cpu')
  }

  add(name: P, graph: Graph, { bounds, memory, place = nowhere }: ProgramMemory<S>): this {
    const planned = memory ?? planMemory(graph, bounds, this.backend.name)
    this.programs.set(name, { graph, memory: planned, place })
    return this
  }

  /** Bytes of each storage and of the working memory of the device, and in all; in a fraction of the time that `build` takes. */
  measure(): Pick<Plan<S | CommonStorage, P>, 'bytes' | 'totalBytes'> {
    const constantBytes = this.layOutConstants().bytes
    const bytes = {
      ...this.sizes,
      inputs: constantBytes,
      activations: 0,
      scratch: this.backend.scratchBytes(this.device.threads),
    } as Record<S | CommonStorage | 'scratch', number>
    for (const { graph, memory } of this.programs.values()) {
      bytes.inputs = Math.max(bytes.inputs, layOutInputs(graph, memory.bounds, constantBytes).end)
      bytes.activations = Math.max(bytes.activations, memory.bytes)
    }
    return { bytes, totalBytes: Object.values<number>(bytes).reduce((sum, size) => sum + size, 0) }
  }

  build(): Plan<S | CommonStorage, P> {
    const names = [...(Object.keys(this.sizes) as S[]), 'inputs', 'activations'] as const
    const { constants, bytes: constantBytes } = this.layOutConstants()
    const programs = {} as Record<P, PlannedProgram>
    for (const [name, { graph, memory, place }] of this.programs) {
      const { offsets } = layOutInputs(graph, memory.bounds, constantBytes)
      const placeTensor = (tensor: Tensor): Placement<S | CommonStorage> => {
        if (tensor.kind === 'input') return { storage: 'inputs', offset: offsets.get(tensor)! }
        if (tensor.kind === 'constant') return { storage: 'inputs', offset: constants.get(tensor.name)!.offset }
        return place(tensor)
      }
      const description = describeProgram(graph, {
        memory,
        activationArena: names.indexOf('activations'),
        place: (tensor) => {
          const { storage, offset } = placeTensor(tensor)
          return { arena: names.indexOf(storage), offset }
        },
      })
      programs[name] = { description, text: programText(graph, description, { memory, arenaNames: names }) }
    }
    const { bytes, totalBytes } = this.measure()
    return {
      backend: this.backend.name,
      storages: names.map((name) => ({ name, bytes: bytes[name] })),
      programs,
      constants: [...constants.values()].map((constant) => ({ storage: 'inputs', ...constant })),
      ...{ bytes, totalBytes },
    }
  }

  /** Constants come first in their storage, where no program's inputs lie over them. */
  private layOutConstants(): { constants: Map<string, { offset: number; values: Float32Array }>; bytes: number } {
    const constants = new Map<string, { offset: number; values: Float32Array }>()
    let bytes = 0
    for (const { graph } of this.programs.values())
      for (const [{ name }, values] of graph.constants) {
        if (constants.has(name)) continue
        constants.set(name, { offset: bytes, values })
        bytes += aligned(values.byteLength)
      }
    return { constants, bytes }
  }
}

function layOutInputs(graph: Graph, bounds: Bounds, start: number): { offsets: Map<Tensor, number>; end: number } {
  const offsets = new Map<Tensor, number>()
  let end = start
  for (const tensor of graph.inputs) {
    offsets.set(tensor, end)
    end += aligned(tensorBytes(tensor, bounds))
  }
  return { offsets, end }
}
