import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { readMetrics } from '../../lib/train/metrics.js'
import { runInShell, slowTests, whySlowTestsAreSkipped } from '../command-line.js'
import { repositoryRoot } from '../shared-files.js'

/* The package as npm makes it and as another project installs it. */

const manifest = JSON.parse(readFileSync(join(repositoryRoot, 'package.json'), 'utf8'))

interface Packed {
  filename: string
  files: { path: string; mode: number }[]
}

/** Without scripts: `prepack` would compile into the dist/ that other tests run from. */
async function pack(destination: string): Promise<Packed> {
  const line = `npm pack --json --ignore-scripts --pack-destination "${destination}"`
  const { code, stdout, stderr } = await runInShell(line, { cwd: repositoryRoot })
  if (code !== 0) throw new Error(`npm pack ended with ${code}: ${stderr}`)
  return JSON.parse(stdout)[0]
}

/** Installs the tarball into an empty project; undefined where no registry can be reached. */
async function install(): Promise<{ project: string; reason?: undefined } | { reason: string }> {
  if (!slowTests) return { reason: whySlowTestsAreSkipped }
  const { filename } = await pack(folder)
  const project = join(folder, 'project')
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'project', private: true }))
  const line = `npm install --no-audit --no-fund "${join(folder, filename)}"`
  const { code, stderr } = await runInShell(line, { cwd: project, env: { LIMO_CUDA: 'OFF' } })
  if (code === 0) return { project }
  if (/ENOTFOUND|ECONNREFUSED|ECONNRESET|EAI_AGAIN|ETIMEDOUT|ENETUNREACH|network/.test(stderr))
    return { reason: 'no npm registry can be reached' }
  throw new Error(`npm install ended with ${code}: ${stderr}`)
}

const folder = mkdtempSync(join(tmpdir(), 'limo-package-'))
t.teardown(() => rmSync(folder, { recursive: true }))
t.setTimeout(15 * 60_000)

// Before the first test: tap ends a file that waits between two tests.
const installed = await install()
const project = 'project' in installed ? installed.project : ''

t.test('npm pack takes what the package needs, and no more', async (t) => {
  const { files } = await pack(folder)
  const paths = files.map(({ path }) => path)
  const needed = [
    ...['package.json', 'README.md', 'LICENSE', 'binding.gyp', 'CMakeLists.txt', 'native/install.cjs'],
    ...['native/addon/addon.cpp', 'native/ops/attention.h'],
    ...['dist/lib/index.js', 'dist/lib/index.d.ts', 'dist/lib/cli/main.js', manifest.bin['limo-native'], manifest.types.slice(2)],
  ]
  for (const path of needed) t.ok(paths.includes(path), path)
  // CMake lists every native source.
  const sources = readFileSync(join(repositoryRoot, 'CMakeLists.txt'), 'utf8').match(/native\/[\w/]+\.(cpp|h)/g)!
  t.ok(sources.length > 10)
  for (const path of sources) t.ok(paths.includes(path), path)
  for (const path of paths.filter((path) => /^dist\/lib\/.*\.js$/.test(path)))
    t.ok(paths.includes(path.replace(/\.js$/, '.d.ts')), `types of ${path}`)
  t.same(
    paths.filter(
      (path) =>
        !/^(package\.json|README\.md|LICENSE|binding\.gyp|CMakeLists\.txt|native\/|dist\/lib\/|bench\/peers\/)/.test(path),
    ),
    [],
    'no tests, no results of benchmarks, no build output',
  )
  t.same(
    paths.filter((path) => /\.test\.|\.node$|\/(node_modules|build)\//.test(path)),
    [],
  )
})

t.test('installed in another project', { skip: installed.reason ?? false }, async (t) => {
  const imported = await runInShell(
    `node --input-type=module -e "import { errorCodes, train } from 'limo-native'; console.log(typeof train, Object.keys(errorCodes).length > 20)"`,
    { cwd: project },
  )
  t.match(imported, { code: 0, stdout: 'function true\n', stderr: '' }, 'import')
  const required = await runInShell(
    `node -e "console.log(typeof require('limo-native').train, require('limo-native/package.json').version)"`,
    {
      cwd: project,
    },
  )
  t.match(required, { code: 0, stdout: `function ${manifest.version}\n` }, 'require')
  t.notMatch(required.stderr, /Error/)

  const doctor = await runInShell('npx limo-native doctor', { cwd: project })
  t.match(doctor, { code: 0, stdout: /addon +loads/ }, 'npx limo-native doctor')

  const trained = await runInShell('npx limo-native init model && npx limo-native train --max_steps 5 --logging_steps 1', {
    cwd: project,
  })
  t.equal(trained.code, 0, trained.stderr)
  t.equal((await readMetrics(join(project, 'limo-quickstart'))).length, 5)

  writeFileSync(
    join(project, 'types.mts'),
    `import { loadTrainConfig, type TrainEvent, train } from 'limo-native'
const { config } = await loadTrainConfig(undefined, {})
for await (const event of train(config)) {
  const seen: TrainEvent = event
  if (seen.type === 'step') { const loss: number = seen.loss; console.log(loss) }
}
export {}
`,
  )
  const tsc = join(repositoryRoot, 'node_modules', 'typescript', 'bin', 'tsc')
  const options = '--noEmit --strict --module nodenext --target es2022 --skipLibCheck'
  const types = await runInShell(`node "${tsc}" ${options} types.mts`, { cwd: project })
  t.same({ code: types.code, stdout: types.stdout }, { code: 0, stdout: '' }, 'its types are found')
})
