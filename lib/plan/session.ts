import { NativeError } from '../errors.js'
import { formatBytes } from '../format-bytes.js'
import { backendOf } from '../native/backend.js'
import type { Arena, CompiledProgram, Device, RunOptions } from '../native/device.js'
import type { Plan } from './plan.js'

/** The parts of a plan that a session is made of. */
export type SessionPlan<S extends string, P extends string> = Pick<Plan<S, P>, 'storages' | 'constants'> & {
  programs: Readonly<Record<P, Pick<Plan['programs'][string], 'description'>>>
} & Partial<Pick<Plan<S, P>, 'backend' | 'totalBytes' | 'remedy'>>

/** A plan on a device: its storages are allocated, its constants written, its programs compiled. */
export class Session<S extends string, P extends string> {
  private constructor(
    readonly device: Device,
    /** The memory of each storage. */
    readonly arenas: Readonly<Record<S, Arena>>,
    private readonly programs: ReadonlyMap<P, CompiledProgram>,
  ) {}

  /**
   * Allocates what the plan says, no more. Storages are zero until something is written; those in `given` are there already, and may
   * be shared by several sessions.
   *
   * @throws NativeError PROGRAM_INVALID for a device of another kind than the plan's; OUT_OF_MEMORY naming the storage
   */
  static async open<S extends string, P extends string>(
    plan: SessionPlan<S, P>,
    device: Device,
    given: Partial<Record<S, Arena>> = {},
  ): Promise<Session<S, P>> {
    const { name } = backendOf(device.name)
    if (plan.backend !== undefined && plan.backend !== name)
      throw new NativeError(
        'PROGRAM_INVALID',
        `expected a plan for ${name} on ${device.name} but it was made for ${plan.backend}`,
      )
    const arenas = plan.storages.map((storage) => given[storage.name] ?? allocate(device, plan, storage))
    const byName = Object.fromEntries(plan.storages.map((storage, index) => [storage.name, arenas[index]!])) as Record<S, Arena>
    const names = Object.keys(plan.programs) as P[]
    const programs = new Map(names.map((name) => [name, device.compile(plan.programs[name].description, arenas)]))
    for (const { storage, offset, values } of plan.constants) await byName[storage].write(offset, values)
    return new Session(device, byName, programs)
  }

  /** Runs a program; resolves to its outputs. Runs of one device queue behind each other. */
  run(program: P, options: RunOptions = {}): Promise<Record<string, Float32Array>> {
    return this.programs.get(program)!.run(options)
  }
}

function allocate<S extends string, P extends string>(
  device: Device,
  plan: SessionPlan<S, P>,
  { name, bytes }: SessionPlan<S, P>['storages'][number],
): Arena {
  try {
    return device.allocate(bytes)
  } catch (error) {
    if (!(error instanceof NativeError) || error.code !== 'OUT_OF_MEMORY' || plan.totalBytes === undefined) throw error
    const { totalBytes, remedy } = plan
    throw new NativeError(
      'OUT_OF_MEMORY',
      `${error.message}. It was for the ${name} of a run that takes ${formatBytes(totalBytes)} in all` +
        `${remedy === undefined ? '' : ` ${remedy}`}`,
      { arena: name, bytes, totalBytes, device: device.name },
      { cause: error },
    )
  }
}
