// node scripts/check-baseline.mjs FILE …: the versions of the system's libraries that binaries ask for are at most those of the oldest
// systems that they are meant for: Ubuntu 22.04, Debian 12, Red Hat Enterprise Linux 9, Amazon Linux 2023.
import { spawnSync } from 'node:child_process'

/** The newest versions that all of those have. */
const newest = { GLIBC: '2.34', GLIBCXX: '3.4.29', CXXABI: '1.3.13', GCC: '7.0.0' }

const files = process.argv.slice(2)
if (files.length === 0) throw new Error('expected files')
const problems = files.flatMap(check)
for (const problem of problems) console.error(`not ok - ${problem}`)
process.exit(problems.length === 0 ? 0 : 1)

function check(file) {
  const read = spawnSync('readelf', ['--wide', '--version-info', file], { encoding: 'utf8', maxBuffer: 1 << 28 })
  if (read.status !== 0) throw new Error(`readelf failed on ${file}: ${read.error?.message ?? read.stderr}`)
  const problems = []
  const highest = {}
  // A line of the section of needed versions: "Name: GLIBC_2.34  Flags: none  Version: 6".
  for (const [, name] of read.stdout.matchAll(/ Name: (\S+) +Flags: /g)) {
    const [, library, version] = /^([A-Z]+)_(\d[\d.]*)$/.exec(name) ?? []
    if (newest[library] === undefined) problems.push(`${file}: needs ${name}, which not every system has`)
    else if (isNewer(version, newest[library]))
      problems.push(`${file}: needs ${name}, newer than ${library}_${newest[library]}${usersOf(file, name)}`)
    if (version && isNewer(version, highest[library] ?? '0')) highest[library] = version
  }
  if (Object.keys(highest).length === 0) problems.push(`${file}: expected versions of the C library`)
  console.log(
    `${file}: ${Object.entries(highest)
      .map(([library, version]) => `${library}_${version}`)
      .join(', ')}`,
  )
  return problems
}

/** The symbols that are bound to a version. */
function usersOf(file, version) {
  const { stdout } = spawnSync('readelf', ['--wide', '--dyn-syms', file], { encoding: 'utf8', maxBuffer: 1 << 28 })
  const names = [...stdout.matchAll(/ UND (\S+?)@(\S+)/g)].filter(([, , name]) => name === version).map(([, symbol]) => symbol)
  return names.length > 0 ? ` (${names.slice(0, 5).join(', ')})` : ''
}

function isNewer(version, than) {
  const [a, b] = [version, than].map((text) => text.split('.').map(Number))
  for (let i = 0; i < Math.max(a.length, b.length); i++) if ((a[i] ?? 0) !== (b[i] ?? 0)) return (a[i] ?? 0) > (b[i] ?? 0)
  return false
}
