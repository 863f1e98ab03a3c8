// Builds the addon with CMake: of a clone, where npm's `prepare` calls it, and of an installed package (`npx limo-native build`). Needs
// no package but Node.
//
//   node native/build.cjs [--package-folder FOLDER] [--toolchain FILE] [--define NAME=VALUE …] [--target TARGET …] [--describe]
//
// From the environment: LIMO_ISA (native, all, or a list), LIMO_CUDA (AUTO, ON, OFF), LIMO_WERROR. What is not given stays as the last
// build had it.
'use strict'
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { parseArgs } = require('node:util')
const findNvcc = require('./find-nvcc.cjs')

const root = path.join(__dirname, '..')
const { values: options } = parseArgs({
  options: {
    'package-folder': { type: 'string', default: root },
    toolchain: { type: 'string' },
    define: { type: 'string', multiple: true, default: [] },
    target: { type: 'string', multiple: true, default: [] },
    // Says what the build is for although nothing had to be built.
    describe: { type: 'boolean', default: false },
  },
})
const packageFolder = path.resolve(options['package-folder'])
const folder = path.join(packageFolder, 'build', 'cmake')

checkTools()
const definitions = { LIMO_PACKAGE_FOLDER: packageFolder }
for (const name of ['LIMO_ISA', 'LIMO_CUDA', 'LIMO_WERROR']) if (process.env[name]) definitions[name] = process.env[name]
for (const text of options.define) definitions[text.slice(0, text.indexOf('='))] = text.slice(text.indexOf('=') + 1)
configure(definitions)
const jobs = cachedValues().CMAKE_GENERATOR === 'Ninja' ? [] : ['--parallel', String(os.availableParallelism())]
const addon = path.join(packageFolder, 'build', 'Release', 'limo_native.node')
const builtAt = modifiedAt(addon)
run('cmake', ['--build', folder, ...jobs, ...options.target.flatMap((target) => ['--target', target])])
if (packageFolder === root && (options.describe || modifiedAt(addon) !== builtAt)) describeBuild()

function hasCommand(command) {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).error === undefined
}

function checkTools() {
  const compiler = process.env.CXX || 'c++'
  const missing = [
    !hasCommand('cmake') && 'CMake 3.22 or later (cmake)',
    !options.toolchain && !hasCommand(compiler) && `a C++20 compiler (${compiler}, or the one that CXX names)`,
    !hasCommand('make') && !hasCommand('ninja') && 'make or ninja',
  ].filter(Boolean)
  if (missing.length === 0) return
  console.error(
    `limo-native: expected ${missing.join(' and ')} to build the addon. On Debian or Ubuntu: apt-get install cmake g++ make`,
  )
  process.exit(1)
}

function modifiedAt(file) {
  return fs.existsSync(file) ? fs.statSync(file).mtimeMs : undefined
}

/** The values that CMake remembers of the last build. */
function cachedValues() {
  const file = path.join(folder, 'CMakeCache.txt')
  if (!fs.existsSync(file)) return {}
  const lines = fs.readFileSync(file, 'utf8').matchAll(/^([\w-]+):\w+=(.*)$/gm)
  return Object.fromEntries([...lines].map(([, name, value]) => [name, value]))
}

function configure(definitions) {
  let known = cachedValues()
  // CMake refuses a folder that was configured for another place, as after a checkout has moved.
  const isMoved = known.CMAKE_HOME_DIRECTORY !== undefined && fs.realpathSync(root) !== realPath(known.CMAKE_HOME_DIRECTORY)
  // An earlier release had other options, and values of theirs that mean something else here.
  if (isMoved || (known.CMAKE_HOME_DIRECTORY !== undefined && known.LIMO_ISA === undefined)) {
    fs.rmSync(folder, { recursive: true })
    known = {}
  }
  const isConfigured = ['build.ninja', 'Makefile'].some((file) => fs.existsSync(path.join(folder, file)))
  if (isConfigured && Object.entries(definitions).every(([name, value]) => known[name] === value)) return
  const generator = known.CMAKE_GENERATOR === undefined && hasCommand('ninja') ? ['-G', 'Ninja'] : []
  const toolchain = options.toolchain ? [`-DCMAKE_TOOLCHAIN_FILE=${path.resolve(options.toolchain)}`] : []
  const cache = path.join(folder, 'CMakeCache.txt')
  const cached = fs.existsSync(cache) ? fs.readFileSync(cache) : undefined
  // CMake remembers values that it has refused, too.
  const forget = () => (cached ? fs.writeFileSync(cache, cached) : fs.rmSync(cache, { force: true }))
  const args = [
    ...['-S', root, '-B', folder, ...generator, ...toolchain],
    ...Object.entries(definitions).map(([name, value]) => `-D${name}=${value}`),
  ]
  run('cmake', args, forget)
}

function realPath(name) {
  try {
    return fs.realpathSync(name)
  } catch {
    return undefined
  }
}

function run(command, args, onFailure) {
  const nvcc = process.env.CUDACXX ?? findNvcc()
  const { status, error } = spawnSync(command, args, {
    stdio: 'inherit',
    env: { ...process.env, ...(nvcc && { CUDACXX: nvcc }) },
  })
  if (status === 0) return
  onFailure?.()
  console.error(`limo-native: the addon does not build${error ? ` (${error.message})` : '; the lines above say why'}`)
  process.exit(status ?? 1)
}

/** One line: what the build is for, and what was left out. */
function describeBuild() {
  const { instructionSets, notBuilt } = require(addon).describeCpu()
  const leftOut = [
    notBuilt.length > 0 && `${notBuilt.join(', ')} (LIMO_ISA=all builds all)`,
    !fs.existsSync(path.join(path.dirname(addon), 'liblimo_cuda.so')) && 'the CUDA backend (LIMO_CUDA=ON builds it, with nvcc)',
  ].filter(Boolean)
  const rest = leftOut.length > 0 ? `; left out: ${leftOut.join('; ')}` : ', and CUDA'
  console.log(`limo-native: the addon is built for ${instructionSets.join(', ')}${rest}`)
}
