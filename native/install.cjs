// npm's install step: nothing to do where a prebuilt or built addon loads, otherwise a build with CMake. cmake-js is called
// directly and not through node-gyp, which would ask for Python and download Node's headers (CMake takes them from the
// package node-api-headers).
'use strict'
const { spawnSync } = require('node:child_process')
const path = require('node:path')

const root = path.join(__dirname, '..')

function addonLoads() {
  try {
    require('node-gyp-build')(root)
    return true
  } catch {
    return false
  }
}

function isMissing(command) {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).error !== undefined
}

if (!addonLoads()) {
  const compiler = process.env.CXX || 'c++'
  const missing = [
    isMissing('cmake') && 'CMake 3.22 or later (cmake)',
    isMissing(compiler) && `a C++20 compiler (${compiler}, or the one that CXX names)`,
    isMissing('make') && isMissing('ninja') && 'make or ninja',
  ].filter(Boolean)
  if (missing.length > 0) {
    console.error(
      `limo-native: expected ${missing.join(' and ')} to build the addon. On Debian or Ubuntu: apt-get install cmake g++ make`,
    )
    process.exit(1)
  }
  const cmakeJs = require.resolve('cmake-js/bin/cmake-js')
  const { status } = spawnSync(process.execPath, [cmakeJs, 'build', '--out', 'build/cmake'], { cwd: root, stdio: 'inherit' })
  if (status !== 0) console.error('limo-native: the addon does not build; the lines above say why')
  process.exit(status ?? 1)
}
