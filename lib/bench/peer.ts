import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ConfigError } from '../errors.js'
import type { ComputeDtype } from '../native/addon-types.js'
import { packageRoot } from '../package-root.js'
import { medianOf, type RunTimes, runTimes } from './measure.js'
import { PeerProcess } from './peer-process.js'

/** A request to a peer: one of our cases. */
export interface PeerCase {
  op?: string
  step?: string
  direction: string
  shape: Record<string, number>
  dtype: ComputeDtype
  threads: number
}

/** Result of a peer. */
export interface PeerResult {
  peer: string
  version: string
  bestMs: number
  /** Speedup over the peer: its best time over our median. */
  ratio: number
  /** Most memory that its process had, of a step. */
  peakBytes?: number
  /** False where both did not fit into memory together: then all our runs came before all of the peer's. */
  alternated: boolean
}

/** A peer: software that a user would run instead. */
export class Peer {
  private shared: PeerProcess | undefined

  private constructor(
    readonly name: string,
    readonly version: string,
    private readonly start: () => Promise<PeerProcess>,
  ) {}

  /**
   * PyTorch, as `bench/peers/pytorch.py` uses it, in the Python that LIMO_PEER_PYTHON names.
   *
   * @throws ConfigError CONFIG_INVALID_VALUE when there is none
   */
  static async pytorch(): Promise<Peer> {
    const command = process.env.LIMO_PEER_PYTHON || 'python3'
    const source = readFileSync(join(packageRoot, 'bench', 'peers', 'pytorch.py'), 'utf8')
    const start = () => PeerProcess.start(command, source)
    try {
      const first = await start()
      await first.close()
      return new Peer('pytorch', first.version, start)
    } catch (cause) {
      throw new ConfigError(
        'CONFIG_INVALID_VALUE',
        `expected a Python with torch and transformers for --against pytorch but "${command}" has not: ${(cause as Error).message}\n` +
          'Set LIMO_PEER_PYTHON to the command line of one, such as "/opt/venv/bin/python3"; bench/peers/README.md says how to get a fair one.',
        { command },
        { cause },
      )
    }
  }

  /** A process for one case: operations share one, a step has its own, whose memory is then its own as well. */
  async processFor({ step }: PeerCase): Promise<PeerProcess> {
    if (step !== undefined) return this.start()
    if (!this.shared || this.shared.hasEnded) this.shared = await this.start()
    return this.shared
  }

  async close(): Promise<void> {
    await this.shared?.close()
  }
}

/** Our side of a comparison. */
export interface OurSide {
  run: () => Promise<unknown>
  /** Gives our memory back. */
  close: () => Promise<void>
  /** Bytes that we have allocated. */
  bytes: number
  minRuns: number
  minMs: number
}

/** Minimum number of rounds in which our runs and the peer's alternate. */
const ROUNDS = 5
/** Total time of a peer's runs from which it gets no more of them, once it has had two. */
const PATIENCE_MS = 60_000
/**
 * Memory that a peer may need, as a multiple of ours: PyTorch takes 2.1 times as much for step M and 1.5 times for step Q of 512
 * tokens. A system without memory ends whichever process it likes.
 */
const PEER_MEMORY = 2.2

/**
 * Times our runs and those of a peer by turns, both warmed up: what disturbs the machine disturbs both. A peer is taken at its
 * best, we at our median.
 */
export async function timeAgainst(
  peer: Peer,
  peerCase: PeerCase,
  ours: OurSide,
): Promise<RunTimes & { against?: PeerResult; againstError?: string }> {
  const alternated = peerCase.step === undefined || process.availableMemory() >= PEER_MEMORY * ours.bytes
  const rounds = Math.max(ROUNDS, ours.minRuns)
  const roundMs = ours.minMs / rounds
  const ourTimes: number[] = []
  const peerTimes: number[] = []
  const ourRound = async () => {
    const start = performance.now()
    do {
      const before = performance.now()
      await ours.run()
      ourTimes.push(performance.now() - before)
    } while (performance.now() - start < roundMs)
  }
  await ours.run()
  if (!alternated) {
    for (let n = 0; n < rounds; n++) await ourRound()
    await ours.close()
  }
  const compare = async (): Promise<PeerResult> => {
    const other = await peer.processFor(peerCase)
    try {
      await other.ask({ prepare: peerCase })
      for (let n = 0; n < rounds; n++) {
        if (alternated) await ourRound()
        const spent = peerTimes.reduce((sum, time) => sum + time, 0)
        if (spent > PATIENCE_MS && peerTimes.length >= 2) continue
        peerTimes.push(...((await other.ask({ runMs: roundMs })).times as number[]))
      }
      const { peakBytes } = await other.ask({ memory: true })
      const bestMs = Math.min(...peerTimes)
      const memory = peerCase.step === undefined || peakBytes === null ? {} : { peakBytes: peakBytes as number }
      return { peer: peer.name, version: peer.version, bestMs, ratio: bestMs / medianOf(ourTimes), ...memory, alternated }
    } finally {
      if (peerCase.step !== undefined) await other.close()
    }
  }
  try {
    const against = await compare()
    return { ...runTimes(ourTimes), against }
  } catch (error) {
    // A peer that cannot do something, or that the system has ended for its memory, does not end the benchmark.
    for (let n = ourTimes.length; n < rounds; n++) await ourRound()
    return { ...runTimes(ourTimes), againstError: (error as Error).message }
  }
}
