import type { BackendName } from '../config/device-name.js'
import { NativeError } from '../errors.js'
import { formatBytes } from '../format-bytes.js'
import type { ProgramDescription } from '../native/addon-types.js'
import { backendOf } from '../native/backend.js'
import type { Arena, CompiledProgram, Device, RunOptions } from '../native/device.js'
import type { Plan } from './plan.js'

/** The parts of a plan that a session is made of. */
export type SessionPlan<S extends string, P extends string> = Pick<Plan<S, P>, 'storages' | 'constants'> & {
  programs: Readonly<Record<P, { description: ProgramDescription; device?: number }>>
} & Partial<Pick<Plan<S, P>, 'backends' | 'totalBytes' | 'remedy'>>

/** A plan on devices: its storages are allocated, its constants written, its programs compiled. */
export class Session<S extends string, P extends string> {
  private constructor(
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
    devices: Device | readonly Device[],
    given: Partial<Record<S, Arena>> = {},
  ): Promise<Session<S, P>> {
    const opened = [devices].flat() as Device[]
    checkDevices(plan.backends, opened)
    const deviceOf = (number = 0) => opened[number]!
    const arenas = plan.storages.map((storage) => given[storage.name] ?? allocate(deviceOf(storage.device), plan, storage))
    const byName = Object.fromEntries(plan.storages.map((storage, index) => [storage.name, arenas[index]!])) as Record<S, Arena>
    const programs = new Map<P, CompiledProgram>()
    for (const name of Object.keys(plan.programs) as P[]) {
      const { description, device } = plan.programs[name]
      programs.set(name, deviceOf(device).compile(description, arenas))
    }
    for (const { storage, offset, values } of plan.constants) await byName[storage].write(offset, values)
    return new Session(byName, programs)
  }

  /** Runs a program; resolves to its outputs. Runs of one device queue behind each other. */
  run(program: P, options: RunOptions = {}): Promise<Record<string, Float32Array>> {
    return this.programs.get(program)!.run(options)
  }
}

function checkDevices(backends: readonly BackendName[] | undefined, devices: readonly Device[]): void {
  if (backends === undefined) return
  if (backends.length !== devices.length)
    throw new NativeError('PROGRAM_INVALID', `expected ${backends.length} devices for the plan but received ${devices.length}`)
  for (const [i, { name }] of devices.entries())
    if (backendOf(name).name !== backends[i])
      throw new NativeError(
        'PROGRAM_INVALID',
        `expected a plan for ${backendOf(name).name} on ${name} but it was made for ${backends[i]}`,
      )
}

function allocate<S extends string, P extends string>(
  device: Device,
  plan: SessionPlan<S, P>,
  { name, bytes, memory }: SessionPlan<S, P>['storages'][number],
): Arena {
  try {
    return device.allocate(bytes, { ...(memory && { memory }) })
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
