// npm run check:sanitize [-- address|thread]: the native tests over builds of the addon with gcc's sanitizers: first for
// addresses and undefined behaviour, then for data races. Each build has a folder of its own below build/sanitize.
//
// What a sanitizer finds goes to files, so that a test which swallows the output of a child cannot swallow a report.
// Not seen: masked loads and stores of vectors, which gcc does not instrument (the tests of the operations keep canaries
// around every operand for that), and leaks, for node has its own.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { basename, isAbsolute, join, resolve } from 'node:path'

const kinds = {
  address: {
    title: 'addresses and undefined behaviour',
    sanitizers: 'address,undefined',
    // The one for addresses must be there first of all libraries; it brings the other along.
    runtimes: ['libasan.so', 'libubsan.so'],
    options: (reports) => ({
      ASAN_OPTIONS: `detect_leaks=0:log_path=${reports}/address`,
      UBSAN_OPTIONS: `print_stacktrace=1:log_path=${reports}/undefined`,
    }),
  },
  thread: {
    title: 'data races',
    sanitizers: 'thread',
    runtimes: ['libtsan.so'],
    // Node's own races must not change how a process ends.
    options: (reports) => ({ TSAN_OPTIONS: `exitcode=0:log_path=${reports}/thread` }),
  },
}

const chosen = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(kinds)
const unknown = chosen.find((name) => !(name in kinds))
if (unknown !== undefined) {
  console.error(`expected ${Object.keys(kinds).join(' or ')} but received "${unknown}"`)
  process.exit(2)
}
const runtimes = Object.fromEntries(chosen.map((name) => [name, kinds[name].runtimes.map(findRuntime)]))
if (run('node_modules/typescript/bin/tsc', []).status !== 0) process.exit(1)

const totals = { passed: 0, failed: 0, skipped: 0 }
for (const name of chosen) checkWith(name, kinds[name], runtimes[name])
console.log(`sanitize: ${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`)
process.exit(totals.failed === 0 ? 0 : 1)

/** The path of a sanitizer's runtime, as the compiler knows it. */
function findRuntime(library) {
  const compiler = process.env.CXX || 'c++'
  const { error, stdout } = spawnSync(compiler, [`-print-file-name=${library}`], { encoding: 'utf8' })
  const path = error ? '' : stdout.trim()
  // What it does not find it prints as it was given.
  if (isAbsolute(path)) return path
  console.error(
    `expected gcc with its sanitizers but ${error ? `"${compiler}" does not start` : `"${compiler}" has no ${library}`}.\n` +
      'Debian and Ubuntu have the runtimes in libgcc-VERSION-dev (with libasan, libubsan and libtsan), Fedora in libasan, libubsan\n' +
      'and libtsan. Another compiler: CXX=g++ npm run check:sanitize.',
  )
  return process.exit(1)
}

function run(script, args, options = {}) {
  return spawnSync(process.execPath, [script, ...args], { stdio: 'inherit', ...options })
}

function checkWith(name, kind, libraries) {
  console.log(`# ${kind.title}`)
  const folder = resolve('build', 'sanitize', name)
  const definitions = [`LIMO_SANITIZE=${kind.sanitizers}`, 'LIMO_ISA=all', 'LIMO_CUDA=OFF']
  const args = ['--package-folder', folder, ...definitions.flatMap((definition) => ['--define', definition])]
  if (run('native/build.cjs', args).status !== 0) return count(false, 'native build')

  const addon = join(folder, 'build', 'Release', 'limo_native.node')
  const reports = join(folder, 'reports')
  rmSync(reports, { recursive: true, force: true })
  mkdirSync(reports)
  const env = {
    ...process.env,
    ...kind.options(reports),
    LIMO_NATIVE_PREBUILD: folder,
    LIMO_TEST: 'all',
    // Everything takes up to twenty times as long.
    TAP_TIMEOUT: '1200',
    // A sanitizer needs more address space than this test leaves.
    TAP_GREP: '/a system that gives no more threads/',
    TAP_INVERT: '1',
  }
  const runNode = (args, more = {}) => runSanitized(libraries[0], args, { ...env, ...more })
  for (const { script, args = [], instructionSet } of scriptsFor(addon, runNode)) {
    const { status, stdout, stderr } = runNode([script, ...args], instructionSet && { LIMO_CPU: instructionSet })
    const what = [script, ...args, instructionSet && `on ${instructionSet}`].filter(Boolean).join(' ')
    if (status !== 0) console.log(`${stdout}${stderr}`)
    if (status === 0 && skippedAll(stdout)) skip(what)
    else count(status === 0, what)
    showReports(reports, addon, what)
  }
}

/** Runs node with a sanitizer's runtime before all others, and with addresses that are not random, which the one for races needs. */
function runSanitized(runtime, args, env) {
  const fixed = spawnSync('setarch', ['-R', 'true']).status === 0 ? ['setarch', '-R'] : []
  const [command, ...rest] = [...fixed, 'env', `LD_PRELOAD=${runtime}`, process.execPath, ...args]
  return spawnSync(command, rest, { env, encoding: 'utf8', maxBuffer: 1 << 30 })
}

/**
 * What runs native code. The tests of operations go over all instruction sets themselves; whole steps are told. The last ones
 * are large enough for several threads to be busy at once: in a small call the first thread has done it all before others wake.
 */
function scriptsFor(addon, runNode) {
  const described = runNode(['-p', `JSON.stringify(require('${addon}').describeCpu())`])
  if (described.status !== 0) throw new Error(`the sanitized addon does not load: ${described.stderr}`)
  const { instructionSets, best } = JSON.parse(described.stdout)
  const operations = readdirSync('dist/test/ops').filter((file) => file.endsWith('.test.js'))
  const runtime = ['device.test.js', 'load.test.js', 'program.test.js', 'terminated-workers.js']
  const onEach = (what) => instructionSets.map((instructionSet) => ({ ...what, instructionSet }))
  return [
    ...operations.map((file) => ({ script: `dist/test/ops/${file}` })),
    ...runtime.map((file) => ({ script: `dist/test/native/${file}` })),
    ...['golden', 'golden-bf16'].flatMap((name) => onEach({ script: `dist/test/lib/train/${name}.test.js` })),
    { script: 'dist/test/lib/train/trainer.test.js', instructionSet: best },
    ...onEach({ script: 'dist/lib/cli/main.js', args: ['bench', 'S', '--threads', '3'] }),
  ]
}

/** Prints the reports of a script that have to do with the addon, counts them as failures, and takes them away. */
function showReports(folder, addon, what) {
  for (const file of readdirSync(folder)) {
    const path = join(folder, file)
    const reports = readFileSync(path, 'utf8').split(/^={18,}$/m)
    for (const report of reports.filter(isOurs)) {
      console.log(withLines(report.trim(), addon))
      count(false, `${file.split('.')[0]}: a report from ${what}`)
    }
    rmSync(path)
  }
}

/**
 * Whether a report is about the addon. The sanitizers for addresses and undefined behaviour look at nothing else, and a report
 * of theirs may be cut short by the end of the process. Node has data races of its own: they are told by the function that
 * made each access, the innermost one outside the runtime libraries, for the addon may have called it or started its thread.
 */
function isOurs(report) {
  if (report.trim() === '' || report.trim().startsWith('ThreadSanitizer: reported')) return false
  const accesses = report.split('\n\n').filter((section) => /(read|write) of size \d+ at 0x/i.test(section))
  if (!report.includes('ThreadSanitizer') || accesses.length === 0) return true
  return accesses.some((access) => {
    const modules = [...access.matchAll(/^ +#\d+ .*\((\S+)\+0x[0-9a-f]+\)$/gm)].map(([, path]) => basename(path))
    return modules.find((name) => !/^lib(tsan|stdc\+\+|gcc_s|c)\.so/.test(name)) === 'limo_native.node'
  })
}

/** A report with the places of its frames in the sources, where the runtime did not find them itself. */
function withLines(report, addon) {
  return report.replace(/<null> <null> \(limo_native\.node\+(0x[0-9a-f]+)\)/g, (frame, address) => {
    const { status, stdout } = spawnSync('addr2line', ['-Cfpe', addon, address], { encoding: 'utf8' })
    return status === 0 ? stdout.trim() : frame
  })
}

/** Whether a test file has skipped all it has, for the numbers to compare with are not on this machine: it has tested nothing. */
function skippedAll(output) {
  const assertions = /^# \{ total: (\d+)(, pass: (\d+))?/m.exec(output)
  return assertions !== null && Number(assertions[3] ?? assertions[1]) === 0
}

function skip(what) {
  console.log(`skipped - ${what}: it skips all of its tests here`)
  totals.skipped += 1
}

function count(passed, what) {
  console.log(`${passed ? 'ok' : 'not ok'} - ${what}`)
  totals[passed ? 'passed' : 'failed'] += 1
}
