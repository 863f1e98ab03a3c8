import { spawn } from 'node:child_process'
import { delimiter, join } from 'node:path'
import { repositoryRoot } from './shared-files.js'

export interface CommandResult {
  /** Null where a signal ended the process. */
  code: number | null
  stdout: string
  stderr: string
}

/** The environment of a user's shell: without what npm and the test runner set for their own children, but with their cache. */
export function shellEnvironment(): NodeJS.ProcessEnv {
  const own =
    /^(npm_(lifecycle|package|config_local_prefix|command|execpath|node_execpath)|INIT_CWD|NODE_OPTIONS|FORCE_COLOR|NO_COLOR|CI$|_?TAP|LIMO_)/
  const kept = Object.entries(process.env).filter(([name]) => !own.test(name))
  const path = (process.env.PATH ?? '').split(delimiter).filter((folder) => !folder.startsWith(repositoryRoot))
  return { ...Object.fromEntries(kept), PATH: path.join(delimiter), LIMO_CACHE_DIR: join(repositoryRoot, '.tap', 'examples') }
}

/** The test runner puts its own hooks into NODE_OPTIONS of every child, even of one that is given another environment. */
export const withoutHooks = ['env', '-u', 'NODE_OPTIONS'] as const

interface ShellOptions {
  cwd: string
  env?: Record<string, string>
  /** Told of what the line prints, as it comes. */
  onOutput?: (text: string) => void
}

/** Runs a line of the README, or of one's own, in a shell. */
export function runInShell(line: string, options: ShellOptions): Promise<CommandResult> {
  const child = spawn(withoutHooks[0], [...withoutHooks.slice(1), 'bash', '-c', line], {
    cwd: options.cwd,
    env: { ...shellEnvironment(), ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    options.onOutput?.(text)
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout, stderr }))
  })
}

/** Set by `npm run test:all`; without it, tests that take minutes are skipped, and others do with less. */
export const allTests = process.env.LIMO_TEST === 'all'
export const whySlowTestsAreSkipped = 'takes minutes: npm run test:all'
