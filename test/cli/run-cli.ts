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

/** Runs `limo-native <args>` to its end. */
export function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return startCli(args, options).result
}

/** `{learning_rate: 1e-5}` as `--learning_rate 1e-5`. */
export function asOptions(settings: Record<string, string | number | boolean>): string[] {
  return Object.entries(settings).flatMap(([key, value]) => [`--${key}`, String(value)])
}
