import { AsyncLocalStorage } from 'node:async_hooks'
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { shellEnvironment, withoutHooks } from '../command-line.js'
import { repositoryRoot } from '../shared-files.js'

const main = join(repositoryRoot, 'dist', 'lib', 'cli', 'main.js')

export interface CliOptions {
  cwd?: string
  /** Added to the environment. */
  env?: Record<string, string>
}

export interface CliResult {
  /** Null where a signal ended the process. */
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

/** `limo-native <args>` as a child process, under way. */
export class RunningCli {
  private stdout = ''
  private stderr = ''
  /** Settles when the process has ended, whatever it ended with. */
  readonly result: Promise<CliResult>

  constructor(readonly child: ChildProcess) {
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text
    })
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
    })
    this.result = new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code, signal) => resolve({ code, signal, stdout: this.stdout, stderr: this.stderr }))
    })
  }

  /** Waits until the standard output so far matches. Rejects when the process ends before it does. */
  async waitFor(pattern: RegExp): Promise<void> {
    const arrived = new Promise<void>((resolve) => {
      const look = () => {
        if (pattern.test(this.stdout)) resolve()
      }
      look()
      this.child.stdout!.on('data', look)
    })
    const ended = this.result.then(({ code, signal, stdout, stderr }) => {
      if (!pattern.test(stdout)) throw new Error(`ended (${code ?? signal}) without ${pattern}:\n${stdout}\n${stderr}`)
    })
    await Promise.race([arrived, ended])
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal)
  }
}

export function startCli(args: readonly string[], options: CliOptions = {}): RunningCli {
  return new RunningCli(
    spawn(withoutHooks[0], [...withoutHooks.slice(1), process.execPath, main, ...args], {
      cwd: options.cwd,
      env: { ...shellEnvironment(), ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
  )
}

/** Runs `limo-native <args>` to its end as a process of its own: for what a process does besides its command. */
export function spawnCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return startCli(args, options).result
}

/** What a command writes goes here; what the test runner writes meanwhile does not, for it is not called by the command. */
const captured = new AsyncLocalStorage<{ stdout: string; stderr: string }>()
for (const name of ['stdout', 'stderr'] as const) {
  const stream = process[name]
  const write = stream.write.bind(stream)
  stream.write = ((chunk: string | Uint8Array, ...rest: []) => {
    const store = captured.getStore()
    if (store === undefined) return write(chunk, ...rest)
    store[name] += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString()
    const callback: unknown = rest.at(-1)
    if (typeof callback === 'function') callback()
    return true
  }) as typeof stream.write
  // A command writes into a pipe, wherever the tests were started.
  Object.assign(stream, { isTTY: undefined, columns: undefined })
}
// Read when colours are first asked for: before the command is loaded, which is why it is not imported above.
process.env.NO_COLOR = '1'

// As in shellEnvironment; a relative one would be of the folder that a command runs in.
process.env.LIMO_CACHE_DIR = join(repositoryRoot, '.tap', 'examples')
/** Variables of a command that someone may have set for a process that runs tests. */
for (const name of ['LIMO_CPU', 'LIMO_FAIL_AT', 'LIMO_PEER_PYTHON', 'LIMO_CUBLASLT']) delete process.env[name]

let last: Promise<unknown> = Promise.resolve()

/**
 * Runs `limo-native <args>` to its end in this process, one after the other: in a tenth of the time that a process takes to start. Folder,
 * environment and exit code are those of this process while it runs.
 */
export function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const result = last.then(() => runInProcess(args, options))
  last = result.catch(() => undefined)
  return result
}

async function runInProcess(args: readonly string[], { cwd, env = {} }: CliOptions): Promise<CliResult> {
  const { run } = await import('../../lib/cli/run.js')
  const output = { stdout: '', stderr: '' }
  const before = { cwd: process.cwd(), exitCode: process.exitCode, env: { ...process.env } }
  if (cwd !== undefined) process.chdir(cwd)
  Object.assign(process.env, env)
  process.exitCode = undefined
  try {
    await captured.run(output, () => run(args))
    return { code: Number(process.exitCode ?? 0), signal: null, ...output }
  } finally {
    process.chdir(before.cwd)
    process.exitCode = before.exitCode
    for (const name of Object.keys(env)) {
      if (before.env[name] === undefined) delete process.env[name]
      else process.env[name] = before.env[name]
    }
  }
}

/** `{learning_rate: 1e-5}` as `--learning_rate 1e-5`. */
export function asOptions(settings: Record<string, string | number | boolean>): string[] {
  return Object.entries(settings).flatMap(([key, value]) => [`--${key}`, String(value)])
}
