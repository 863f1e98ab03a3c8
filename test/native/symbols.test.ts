import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadAddon } from '../../lib/native/binding.js'
import { repositoryRoot } from '../shared-files.js'

/** Object files of the kernels compiled for an instruction set. */
function objectsOf(instructionSet: string): string[] {
  const folder = join(repositoryRoot, 'build', 'cmake', 'CMakeFiles', `limo_kernels_${instructionSet}.dir`)
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.o'))
    .map((name) => join(folder, name))
}

const hasNm = spawnSync('nm', ['--version']).status === 0

const { built } = loadAddon().describeCpu()
for (const instructionSet of built.filter((name) => name !== 'portable')) {
  const objects = objectsOf(instructionSet)
  const skip = !hasNm ? 'nm is absent' : objects.length === 0 ? `no kernels for ${instructionSet} are built here` : false
  // Of an inline function that several objects hold, the linker keeps one copy: should it be the one with AVX-512, a processor
  // without it would meet an illegal instruction in code meant for it.
  t.test(`kernels for ${instructionSet} share no code that the linker may merge`, { skip }, async (t) => {
    const { stdout, stderr } = spawnSync('nm', ['-C', '-A', ...objects], { encoding: 'utf8', maxBuffer: 1 << 28 })
    t.equal(stderr, '')
    const lines = stdout.trim().split('\n')
    t.ok(
      lines.some((line) => line.includes(`limo::${instructionSet}::run(limo::Attention const&`)),
      'they are the kernels',
    )
    t.same(
      // A pointer to the C++ runtime's own function, the same in every object.
      lines.filter((line) => / [WVuw] /.test(line) && !line.endsWith(' V DW.ref.__gxx_personality_v0')),
      [],
    )
  })
}

const release = join(repositoryRoot, 'build', 'Release')
const binaries = existsSync(release)
  ? readdirSync(release).filter((name) => /^(limo_native\.node|liblimo_cuda\.so)$/.test(name))
  : []
const hasReadelf = spawnSync('readelf', ['--version']).status === 0
const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } }
const glibc = (header.glibcVersionRuntime ?? '').split('.').map(Number)
// Headers of later ones give ordinary calls new symbols, as strtoll in 2.38. Packing checks what is published.
const isNewer = !(glibc[0] === 2 && glibc[1]! <= 37)
const skip = !hasReadelf
  ? 'readelf is absent'
  : binaries.length === 0
    ? 'nothing is built here'
    : isNewer && `built with glibc ${header.glibcVersionRuntime}, for systems like this one`

t.test('the addon loads on systems of 2022', { skip }, async (t) => {
  const script = join(repositoryRoot, 'scripts', 'check-baseline.mjs')
  const paths = binaries.map((name) => join(release, name))
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...paths], { encoding: 'utf8' })
  t.equal(status, 0, stderr)
  t.comment(stdout)
  const node = spawnSync(process.execPath, [script, process.execPath], { encoding: 'utf8' })
  t.match(node.stdout, /GLIBC_2\.\d+/, 'versions are read')
})
