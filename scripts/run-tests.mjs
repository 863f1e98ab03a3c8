// Runs test files, each as a process of its own, as many at a time as there are processors, and counts their tests. A file is a program
// that prints TAP and can be run alone: node dist/test/ops/linear.test.js.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'

const folder = '.tap'
const countsFile = join(folder, 'counts.json')
/** Test files that build, install and train; what they print and how long it took is read by people. */
const isOfCheckout = (file) => file.includes('checkout')
/** Those of them that train for minutes. The package's is not: most of its time one processor waits for npm. */
const takesAll = (file) => isOfCheckout(file) && !file.includes('package')

/** A file that takes longer has hung. */
const limitOf = (file) => (isOfCheckout(file) ? 30 : 10) * 60_000
/** Lines of an assertion that failed, its differences among them. */
const SHOWN_LINES = 60

/** The compiled test files that the arguments name, by their sources, their compiled paths or a part of either; all without arguments. */
export function findTests(names) {
  const all = readdirSync('dist/test', { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.js'))
    .map((name) => join('dist', 'test', name))
    .sort()
  if (names.length === 0) return all
  const found = names.flatMap((name) => {
    const part = name.replace(/^\.\//, '').replace(/\.ts$/, '.js')
    const files = all.filter((file) => file.includes(part))
    if (files.length > 0) return files
    console.error(`expected a test file but received "${name}"`)
    return process.exit(2)
  })
  return [...new Set(found)]
}

/**
 * Resolves to {passed, failed, skipped}; prints a line for each file, what failed, and what was skipped for which reason. `command` runs
 * a file in place of node, and `title` tells such a run from others. The counts of a whole run are kept for `lastCounts`.
 */
export async function runTests(files, { env = {}, command = [process.execPath], title = 'tests', isWhole = false } = {}) {
  const durationsFile = join(folder, `${title}-durations.json`)
  const durations = readDurations(durationsFile)
  const longest = (file) => durations[file] ?? Number.POSITIVE_INFINITY
  const ordered = [...files].sort((a, b) => longest(b) - longest(a) || a.localeCompare(b))
  const totals = { passed: 0, failed: 0, skipped: 0 }
  const reasons = new Map()
  const work = async (queue) => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const result = await runFile(file, command, env)
      for (const name of Object.keys(totals)) totals[name] += result[name]
      for (const reason of result.reasons) reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
      durations[file] = result.milliseconds
      const seconds = (result.milliseconds / 1000).toFixed(1).padStart(6)
      const skipped = result.skipped > 0 ? `, ${result.skipped} skipped` : ''
      console.log(`${result.failed > 0 ? 'not ok' : 'ok'} ${seconds} s  ${file}: ${result.passed} passed${skipped}`)
      if (result.report !== '') console.log(result.report)
      else if (isOfCheckout(file)) for (const comment of result.comments) console.log(`       ${comment}`)
    }
  }
  // Whole trainings use every processor, and two at once disturb each other: threads that wait for threads that do not run.
  await work(ordered.filter(takesAll))
  const rest = ordered.filter((file) => !takesAll(file))
  await Promise.all(Array.from({ length: Math.max(2, availableParallelism()) }, () => work(rest)))
  mkdirSync(folder, { recursive: true })
  writeFileSync(durationsFile, JSON.stringify(durations))
  if (isWhole) writeFileSync(countsFile, JSON.stringify(totals))
  if (reasons.size > 0)
    console.log(`skipped: ${[...reasons].map(([reason, count]) => `${count} (${reason || 'no reason given'})`).join('; ')}`)
  return totals
}

/** The counts of the last run of all tests; one failure where it did not come to its end. */
export function lastCounts() {
  if (!existsSync(countsFile)) return { passed: 0, failed: 1, skipped: 0 }
  return JSON.parse(readFileSync(countsFile, 'utf8'))
}

export function forgetCounts() {
  rmSync(countsFile, { force: true })
}

export function formatCounts({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}

function readDurations(durationsFile) {
  try {
    return JSON.parse(readFileSync(durationsFile, 'utf8'))
  } catch {
    return {}
  }
}

function runFile(file, [program, ...args], env) {
  const startedAt = performance.now()
  const child = spawn(program, [...args, file], {
    // Tests read and write no cache of the user's. Without colours, which some libraries take CI for a terminal for. tap's own limit is
    // half a minute.
    env: {
      ...process.env,
      LIMO_CACHE_DIR: resolve(folder, 'examples'),
      NO_COLOR: '1',
      TAP_TIMEOUT: String(limitOf(file) / 1000),
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const timer = setTimeout(() => {
    child.kill('SIGKILL')
    // What it has started may hold them open.
    for (const stream of [child.stdout, child.stderr]) stream.destroy()
  }, limitOf(file))
  let [output, errors] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output += text
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    errors += text
  })
  return new Promise((done) => {
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      done({ ...readTap(output, errors, signal ?? code), milliseconds: Math.round(performance.now() - startedAt) })
    })
  })
}

/** The tests of a file are the lines at its margin; what they assert is further in. */
function readTap(output, errors, ending) {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  const reasons = []
  const report = []
  let shown = 0
  for (const line of output.split('\n')) {
    const test = /^(not ok|ok) \d+/.exec(line)
    const skip = test && / # SKIP ?(.*)$/i.exec(line)
    if (skip) {
      counts.skipped += 1
      reasons.push(skip[1])
    } else if (test) counts[test[1] === 'ok' ? 'passed' : 'failed'] += 1
    if (/^\s*not ok /.test(line)) shown = SHOWN_LINES
    else if (/^\s*ok /.test(line)) shown = 0
    if (shown-- > 0) report.push(line)
  }
  if (counts.passed + counts.failed + counts.skipped === 0 && ending === 0) ending = 'no test'
  if (ending !== 0) {
    if (counts.failed === 0) counts.failed = 1
    report.push(`ended with ${ending}`, errors.slice(-4000))
    if (report.length === 2) report.push(output.slice(-4000))
  }
  const comments = output.match(/^ {4}# (?!Subtest|time=|\{).*/gm) ?? []
  return {
    ...counts,
    reasons,
    comments: comments.map((line) => line.trim()),
    report: counts.failed > 0 ? report.join('\n').trimEnd() : '',
  }
}
