// npm run build:prebuilds [-- PLATFORM …]: the binaries of a package, stripped, in prebuilds/, and the headers for building one again.
// linux-x64 has all instruction sets, and CUDA where there is nvcc; linux-arm64 comes from a cross compiler, or from that processor itself.
import { spawnSync } from 'node:child_process'
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { crossCompiler, findNvcc, hasCommand } from './tools.mjs'

const builders = { 'linux-x64': buildX64, 'linux-arm64': buildArm64 }
const named = process.argv.slice(2)
const chosen = named.length > 0 ? named : Object.keys(builders)
for (const platform of chosen) {
  if (!(platform in builders)) {
    console.error(`expected some of ${Object.keys(builders).join(', ')} but received "${platform}"`)
    process.exit(2)
  }
  builders[platform](platform)
}
copyHeaders()

function buildX64(platform) {
  if (process.arch !== 'x64') return leaveOut(platform, `this machine is ${process.arch}`)
  const cuda = findNvcc() ? 'ON' : 'OFF'
  if (cuda === 'OFF') console.log(`${platform}: no CUDA backend, for there is no nvcc`)
  // The clone's own build, where it has everything, and nothing that is for looking into it.
  const own = cachedOptions('build/cmake')
  const isPlain = own.CMAKE_BUILD_TYPE !== 'Debug' && own.LIMO_CUDA_LINE_NUMBERS !== 'ON' && !own.LIMO_SANITIZE
  const isWhole = isPlain && own.LIMO_ISA === 'all' && (own.LIMO_CUDA === 'ON' || cuda === 'OFF')
  const packageFolder = isWhole ? '.' : join('build', 'prebuild', platform)
  build(packageFolder, ['--define', 'LIMO_ISA=all', '--define', `LIMO_CUDA=${cuda}`])
  collect(platform, packageFolder, 'strip')
}

function buildArm64(platform) {
  const packageFolder = join('build', 'prebuild', platform)
  const options = ['--define', 'LIMO_ISA=all', '--define', 'LIMO_CUDA=OFF']
  if (process.arch === 'arm64') {
    build(packageFolder, options)
    return collect(platform, packageFolder, 'strip')
  }
  if (!hasCommand(crossCompiler)) return leaveOut(platform, `there is no ${crossCompiler} (Debian: g++-aarch64-linux-gnu)`)
  build(packageFolder, ['--toolchain', join('native', 'aarch64-linux-gnu.cmake'), ...options])
  collect(platform, packageFolder, 'aarch64-linux-gnu-strip')
}

function leaveOut(platform, reason) {
  rmSync(join('prebuilds', platform), { recursive: true, force: true })
  console.log(`${platform}: left out, for ${reason}`)
  // A platform that was asked for by name.
  if (named.length > 0) process.exitCode = 1
}

function build(packageFolder, options) {
  const args = ['native/build.cjs', '--package-folder', packageFolder, ...options]
  const env = { ...process.env }
  for (const name of ['LIMO_ISA', 'LIMO_CUDA']) delete env[name]
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit', env })
  if (status !== 0) process.exit(status ?? 1)
}

function cachedOptions(folder) {
  const file = join(folder, 'CMakeCache.txt')
  if (!existsSync(file)) return {}
  return Object.fromEntries(
    [...readFileSync(file, 'utf8').matchAll(/^((?:LIMO|CMAKE)_\w+):\w+=(.*)$/gm)].map(([, name, value]) => [name, value]),
  )
}

/** Copies what a build made, without symbols that only a debugger reads. node-gyp-build takes `glibc` in a name for a condition. */
function collect(platform, packageFolder, strip) {
  const target = join('prebuilds', platform)
  rmSync(target, { recursive: true, force: true })
  mkdirSync(target, { recursive: true })
  const names = { 'limo_native.node': 'limo_native.glibc.node', 'liblimo_cuda.so': 'liblimo_cuda.so' }
  for (const [built, name] of Object.entries(names)) {
    const source = join(packageFolder, 'build', 'Release', built)
    if (!existsSync(source)) continue
    copyFileSync(source, join(target, name))
    const { status } = spawnSync(strip, ['--strip-unneeded', join(target, name)], { stdio: 'inherit' })
    if (status !== 0) throw new Error(`${strip} failed on ${join(target, name)}`)
  }
}

/** Node's own interface and its C++ wrapper, headers alone, both under the MIT licence: `limo-native build` needs no registry. */
function copyHeaders() {
  const target = join('prebuilds', 'include')
  rmSync(target, { recursive: true, force: true })
  const sources = {
    'node-addon-api': ['napi.h', 'napi-inl.h', 'napi-inl.deprecated.h', 'LICENSE.md'],
    'node-api-headers': [
      'include/node_api.h',
      'include/node_api_types.h',
      'include/js_native_api.h',
      'include/js_native_api_types.h',
      'LICENSE',
    ],
  }
  for (const [name, files] of Object.entries(sources))
    for (const file of files) {
      const isLicence = file.startsWith('LICENSE')
      const to = isLicence ? `LICENSE.${name}` : file.replace('include/', '')
      cpSync(join('node_modules', name, file), join(target, to))
    }
}
