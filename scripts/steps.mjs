// Steps that several scripts begin with.
import { spawnSync } from 'node:child_process'

/** Runs node on a script and ends this process where it fails. */
export function runScript(script, args = [], env = {}) {
  const { status } = spawnSync(process.execPath, [script, ...args], { stdio: 'inherit', env: { ...process.env, ...env } })
  if (status !== 0) process.exit(status ?? 1)
}

/** Builds what has changed, so that no test runs over an older addon. `settings`: LIMO_ISA and LIMO_CUDA. */
export function buildAddon(settings) {
  runScript('native/build.cjs', [], settings)
}

/** The emulated CUDA device, which is for x86-64 alone. */
export function buildEmulator(settings) {
  if (process.arch === 'x64') runScript('native/build.cjs', ['--target', 'emulator'], settings)
}

export function compileTypes() {
  runScript('node_modules/typescript/bin/tsc')
  runScript('scripts/finish-types.mjs')
}
