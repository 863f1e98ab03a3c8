// Tools that only some builds and checks need: whether this machine has them.
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'

/** The path of nvcc, or undefined. */
export const findNvcc = createRequire(import.meta.url)('../native/find-nvcc.cjs')

export const crossCompiler = 'aarch64-linux-gnu-g++'

export function hasCommand(command) {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0
}

/** The settings of a build of everything that this machine can build; the environment goes before. */
export function wholeBuild() {
  return { LIMO_ISA: process.env.LIMO_ISA || 'all', LIMO_CUDA: process.env.LIMO_CUDA || (findNvcc() ? 'ON' : 'OFF') }
}

/** The settings of a build for this processor, whatever the last one was for; the environment goes before. */
export function ownBuild() {
  return { LIMO_ISA: process.env.LIMO_ISA || 'native', LIMO_CUDA: process.env.LIMO_CUDA || 'AUTO' }
}
