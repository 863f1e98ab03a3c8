import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
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

for (const instructionSet of ['avx2', 'avx512', 'avx512bf16']) {
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
      lines.filter((line) => / [WVuw] /.test(line)),
      [],
    )
  })
}
