// What of the tools that only some checks and builds need is on this machine.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

export const crossCompiler = 'aarch64-linux-gnu-g++'

export function hasCommand(command) {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0
}

/** $NVCC, or that of the PATH, or $CUDA_HOME/bin/nvcc; undefined where there is none. */
export function findNvcc() {
  const candidates = [process.env.NVCC, 'nvcc', process.env.CUDA_HOME && join(process.env.CUDA_HOME, 'bin/nvcc')]
  return candidates.find((path) => path && hasCommand(path))
}

export function hasNvcc() {
  return findNvcc() !== undefined
}
