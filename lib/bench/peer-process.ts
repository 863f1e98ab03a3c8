import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface, type Interface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'

/** Memory settings of glibc with which a peer does not give its memory back after every step, only to fault it in again. */
const MALLOC_SETTINGS = [
  'glibc.malloc.mmap_threshold=17179869184',
  'glibc.malloc.trim_threshold=34359738368',
  'glibc.malloc.top_pad=67108864',
].join(':')

function peerEnvironment(): NodeJS.ProcessEnv {
  // These force the kernels of another processor.
  const { OPENBLAS_CORETYPE: _, OPENBLAS_L2_SIZE: __, ...env } = process.env
  return { GLIBC_TUNABLES: MALLOC_SETTINGS, HF_HUB_OFFLINE: '1', ...env }
}

/** A peer's process: takes requests as lines of JSON and answers each with one. */
export class PeerProcess {
  version = ''
  private readonly answers: AsyncIterator<string>
  private lastWords = ''

  private constructor(
    private readonly child: ChildProcess,
    lines: Interface,
  ) {
    this.answers = lines[Symbol.asyncIterator]()
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.lastWords = (this.lastWords + text).slice(-2000)
    })
    // Its end is noticed where an answer is missing.
    child.stdin!.on('error', () => {})
  }

  static async start(command: string, source: string): Promise<PeerProcess> {
    // The source goes along, for the command may see another root of the file system.
    const child = spawn('sh', ['-c', `exec ${command} -u -c "$1"`, 'sh', source], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: peerEnvironment(),
    })
    const peer = new PeerProcess(child, createInterface({ input: child.stdout! }))
    peer.version = (await peer.answer()).version as string
    return peer
  }

  /** @throws Error when the peer fails or ends */
  async ask(request: Record<string, unknown>): Promise<Record<string, unknown>> {
    this.child.stdin!.write(`${JSON.stringify(request)}\n`)
    return this.answer()
  }

  private async answer(): Promise<Record<string, unknown>> {
    const { value, done } = await this.answers.next()
    if (done) {
      // The reason comes with the end of the process, which may be a moment later.
      for (let n = 0; n < 20 && !this.hasEnded; n++) await setTimeout(50)
      const how = this.child.signalCode ?? `exit code ${this.child.exitCode}`
      throw new Error(`it ended with ${how}. ${this.lastWords.trim().split('\n').slice(-3).join('\n')}`)
    }
    const answer = JSON.parse(value) as Record<string, unknown>
    if (answer.error !== undefined) throw new Error(String(answer.error))
    return answer
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null
  }

  async close(): Promise<void> {
    if (this.hasEnded) return
    const closed = new Promise((resolve) => this.child.once('close', resolve))
    this.child.stdin!.end()
    await closed
  }
}
