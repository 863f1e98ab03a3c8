// node scripts/check-baseline.mjs FILE …: the versions of the system's libraries that binaries ask for are at most those of the oldest
// systems that they are meant for: Ubuntu 22.04, Debian 12, Red Hat Enterprise Linux 9, Amazon Linux 2023.
import { spawnSync } from 'node:child_process'

const newest = { GLIBC: '2.34', GLIBCXX: '3.4.29', CXXABI: '1.3.13', GCC: '7.0.0' }

const files = process.argv.slice(2)
if (files.length === 0) throw new Error('expected files')
const problems = files.flatMap(check)
for (const problem of problems) console.error(`not ok - ${problem}`)
process.exit(problems.length === 0 ? 0 : 1)

function check(file) {
  const { status, stdout, stderr, error } = spawnSync('readelf', ['--wide', '--dyn-syms', file], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  })
  if (status !== 0) throw new Error(`readelf failed on ${file}: ${error?.message ?? stderr}`)
  const problems = []
  const highest = {}
  // Of another library: undefined here, with the version that it had when this was linked.
  for (const [, symbol, library, version] of stdout.matchAll(/ UND (\S+?)@([A-Z]+)_([\d.]+)/g)) {
    if (newest[library] === undefined) problems.push(`${file}: ${symbol} of an unexpected library, ${library}_${version}`)
    else if (isNewer(version, newest[library]))
      problems.push(`${file}: ${symbol} needs ${library}_${version}, newer than ${newest[library]}`)
    if (isNewer(version, highest[library] ?? '0')) highest[library] = version
  }
  if (Object.keys(highest).length === 0) problems.push(`${file}: expected symbols of the C library`)
  console.log(
    `${file}: ${Object.entries(highest)
      .map(([library, version]) => `${library}_${version}`)
      .join(', ')}`,
  )
  return problems
}

function isNewer(version, than) {
  const [a, b] = [version, than].map((text) => text.split('.').map(Number))
  for (let i = 0; i < Math.max(a.length, b.length); i++) if ((a[i] ?? 0) !== (b[i] ?? 0)) return (a[i] ?? 0) > (b[i] ?? 0)
  return false
}
