// Where nvcc is: $NVCC, on the PATH, or in $CUDA_HOME/bin; undefined where there is none.
'use strict'
const { spawnSync } = require('node:child_process')
const path = require('node:path')

module.exports = function findNvcc() {
  const candidates = [process.env.NVCC, 'nvcc', process.env.CUDA_HOME && path.join(process.env.CUDA_HOME, 'bin', 'nvcc')]
  return candidates.find((command) => command && spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0)
}
