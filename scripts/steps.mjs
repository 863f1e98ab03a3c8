// What several scripts do before they run anything.
import { spawnSync } from 'node:child_process'

/** Runs node on a script and ends this process where it fails. */
export function runScript(script, args = [], env = {}) {
  const { status } = spawnSync(process.execPath, [script, ...args], { stdio: 'inherit', env: { ...process.env, ...env } })
  if (status !== 0) process.exit(status ?? 1)
}

/** Builds what has changed, so that no test runs over an older addon. */
export function buildAddon(env) {
  runScript('native/build.cjs', [], env)
}

export function buildEmulator() {
  runScript('native/build.cjs', ['--target', 'emulator'])
}

export function compileTypes() {
  runScript('node_modules/typescript/bin/tsc')
  runScript('scripts/finish-types.mjs')
}
