import type { BackendName } from '../config/device-name.js'
import { NativeError } from '../errors.js'
import type { Graph } from '../graph/graph.js'
import { aligned, type Bounds, type MemoryPlan, planMemory, tensorBytes } from '../graph/memory-plan.js'
import { describeProgram, programText } from '../graph/program.js'
import type { Tensor } from '../graph/tensor.js'
import type { MemoryKind, ProgramDescription } from '../native/addon-types.js'
import { type Backend, backendOf } from '../native/backend.js'

/** A piece of a device's memory, allocated as one. */
export interface Storage<S extends string = string> extends StoragePlace {
  name: S
  bytes: number
}

/** The device that has a storage, by its number among those of the plan, the first when absent, and the kind of its memory. */
export interface StoragePlace {
  device?: number
  memory?: MemoryKind
}

/** Bytes, and where they are if that is not memory of the first device. */
export type StorageSize = number | (StoragePlace & { bytes: number })

/** Place of a tensor for as long as its plan is in use. */
export interface Placement<S extends string = string> {
  storage: S
  /** Bytes. */
  offset: number
}

/** A program of a plan, ready for the device. */
export interface PlannedProgram {
  /** The number of the device that runs it. */
  device: number
  /** Numbers the storages in the order of the plan. */
  description: ProgramDescription
  text: string
}

/** Programs and their memory: everything that is known before anything is allocated, on a machine that need not have the device. */
export interface Plan<S extends string = string, P extends string = string> {
  /** The kind of each device that it is for. */
  backends: readonly BackendName[]
  storages: readonly Storage<S>[]
  programs: Readonly<Record<P, PlannedProgram>>
  /** Values that are written once, before the first run. */
  constants: readonly { storage: S; offset: number; values: Float32Array }[]
  /** Bytes of each storage; `scratch` is the working memory of the devices. */
  bytes: Readonly<Record<S | 'scratch', number>>
  /** Bytes of memory of the devices, their working memory among it. */
  totalBytes: number
  /** Bytes of pinned memory of the host besides. */
  pinnedBytes: number
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
  /** The number of the device that runs it; the first when absent. */
  device?: number
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
  private readonly backends: readonly Backend[]
  private readonly devices: readonly PlanDevice[]
  private readonly programs = new Map<
    P,
    { graph: Graph; memory: MemoryPlan; place: (tensor: Tensor) => Placement<S>; device: number }
  >()

  /**
   * `sizes`: each storage, in the order in which programs number them; `inputs` and `activations` come after them, and such a pair for
   * each further device that runs a program. `devices`: one, or several by their numbers.
   *
   * @throws NativeError PROGRAM_INVALID for the number of a device that is not there
   */
  constructor(
    private readonly sizes: Readonly<Record<S, StorageSize>>,
    devices: PlanDevice | readonly PlanDevice[],
  ) {
    this.devices = [devices].flat()
    this.backends = this.devices.map(({ device }) => backendOf(device ?? 'cpu'))
    for (const { name, device = 0 } of this.storages()) this.checkDevice(`storage ${name}`, device)
  }

  private checkDevice(what: string, device: number): void {
    if (this.devices[device] !== undefined) return
    const message = `expected one of ${this.devices.length} devices for ${what} but received device ${device}`
    throw new NativeError('PROGRAM_INVALID', message, { device })
  }

  add(name: P, graph: Graph, { bounds, memory, place = nowhere, device = 0 }: ProgramMemory<S>): this {
    this.checkDevice(`program ${name}`, device)
    const planned = memory ?? planMemory(graph, bounds, this.backends[device]!.name)
    this.programs.set(name, { graph, memory: planned, place, device })
    return this
  }

  /** Bytes of each storage and of the working memory of the device, and in all; in a fraction of the time that `build` takes. */
  measure(): Pick<Plan<S | CommonStorage, P>, 'bytes' | 'totalBytes' | 'pinnedBytes'> {
    const bytes = {
      ...Object.fromEntries(this.storages().map(({ name, bytes }) => [name, bytes])),
      ...Object.fromEntries(this.commonStorages().map(({ name, bytes }) => [name, bytes])),
      scratch: this.devices.reduce((sum, { threads }, i) => sum + this.backends[i]!.scratchBytes(threads), 0),
    } as Record<S | CommonStorage | 'scratch', number>
    const pinned = this.storages().filter(({ memory }) => memory === 'pinned-host')
    const pinnedBytes = pinned.reduce((sum, storage) => sum + storage.bytes, 0)
    return { bytes, totalBytes: Object.values<number>(bytes).reduce((sum, size) => sum + size, 0) - pinnedBytes, pinnedBytes }
  }

  /** The storages that were given, in their order. */
  private storages(): Storage<S>[] {
    return (Object.entries(this.sizes) as [S, StorageSize][]).map(([name, size]) =>
      typeof size === 'number' ? { name, bytes: size } : { name, ...size },
    )
  }

  /** Inputs and activations of each device that runs a program, and of the first. */
  private commonStorages(): Storage<CommonStorage>[] {
    const running = new Set([0, ...[...this.programs.values()].map(({ device }) => device)])
    return [...running]
      .sort((a, b) => a - b)
      .flatMap((device) => {
        const own = [...this.programs.values()].filter((program) => program.device === device)
        const constantBytes = this.layOutConstants(device).bytes
        const inputs = own.map(({ graph, memory }) => layOutInputs(graph, memory.bounds, constantBytes).end)
        const on = device === 0 ? {} : { device }
        return [
          { name: commonStorage('inputs', device), bytes: Math.max(constantBytes, ...inputs), ...on },
          { name: commonStorage('activations', device), bytes: Math.max(0, ...own.map(({ memory }) => memory.bytes)), ...on },
        ]
      })
  }

  build(): Plan<S | CommonStorage, P> {
    const storages: Storage<S | CommonStorage>[] = [...this.storages(), ...this.commonStorages()]
    const names = storages.map(({ name }) => name)
    const programs = {} as Record<P, PlannedProgram>
    const constants: Plan<S | CommonStorage, P>['constants'][number][] = []
    const laidOut = new Map<number, ReturnType<PlanBuilder<S, P>['layOutConstants']>>()
    for (const [name, { graph, memory, place, device }] of this.programs) {
      const storage = commonStorage('inputs', device)
      const known = laidOut.get(device) ?? this.layOutConstants(device)
      if (!laidOut.has(device)) constants.push(...[...known.constants.values()].map((constant) => ({ storage, ...constant })))
      laidOut.set(device, known)
      const { offsets } = layOutInputs(graph, memory.bounds, known.bytes)
      const placeTensor = (tensor: Tensor): Placement<S | CommonStorage> => {
        if (tensor.kind === 'input') return { storage, offset: offsets.get(tensor)! }
        if (tensor.kind === 'constant') return { storage, offset: known.constants.get(tensor.name)!.offset }
        return place(tensor)
      }
      const description = describeProgram(graph, {
        memory,
        activationArena: names.indexOf(commonStorage('activations', device)),
        place: (tensor) => {
          const placement = placeTensor(tensor)
          return { arena: names.indexOf(placement.storage), offset: placement.offset }
        },
      })
      programs[name] = { device, description, text: programText(graph, description, { memory, arenaNames: names }) }
    }
    return { backends: this.backends.map(({ name }) => name), storages, programs, constants, ...this.measure() }
  }

  /** The constants of a device's programs come first in their storage, where no program's inputs lie over them. */
  private layOutConstants(device: number): { constants: Map<string, { offset: number; values: Float32Array }>; bytes: number } {
    const constants = new Map<string, { offset: number; values: Float32Array }>()
    let bytes = 0
    for (const program of this.programs.values())
      for (const [{ name }, values] of program.device === device ? program.graph.constants : []) {
        if (constants.has(name)) continue
        constants.set(name, { offset: bytes, values })
        bytes += aligned(values.byteLength)
      }
    return { constants, bytes }
  }
}

/** The name of a storage that every plan has, on one of its devices. */
function commonStorage(name: 'inputs' | 'activations', device: number): CommonStorage {
  return (device === 0 ? name : `${name} of device ${device}`) as CommonStorage
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
