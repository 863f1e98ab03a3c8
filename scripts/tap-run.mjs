// Runs the tests with tap and counts them. `npm test` shows tap's own report; the check wants one line of numbers.
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'

const require = createRequire(import.meta.url)
const tapPackage = require.resolve('tap/package.json')
const tap = join(dirname(tapPackage), require('tap/package.json').bin.tap)

/** Resolves to tap's exit code. */
export function runTap(args) {
  const child = spawn(process.execPath, [tap, ...args], { stdio: 'inherit' })
  return new Promise((resolve) => child.on('close', (code) => resolve(code ?? 1)))
}

/** Runs tap, prints what failed, and resolves to {passed, failed, skipped}: tests, not assertions. */
export function countTap(args) {
  const child = spawn(process.execPath, [tap, '--reporter=tap', ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const counts = { passed: 0, failed: 0, skipped: 0 }
  let failing = 0
  createInterface({ input: child.stdout }).on('line', (line) => {
    // Files are at the left margin; their tests are one level in.
    const test = /^ {4}(not ok|ok) \d+ - /.exec(line)
    if (test) {
      if (/# SKIP/i.test(line)) {
        counts.skipped += 1
        console.log(line.trim())
      } else counts[test[1] === 'ok' ? 'passed' : 'failed'] += 1
    }
    if (/^(not )?ok \d+ - /.test(line)) console.log(line)
    // A failure and the lines that explain it.
    if (/^\s*not ok /.test(line)) failing = 40
    else if (/^\s*ok /.test(line)) failing = 0
    if (failing-- > 0) console.log(line)
  })
  return new Promise((resolve) =>
    child.on('close', (code) => {
      if (code !== 0 && counts.failed === 0) counts.failed = 1
      resolve(counts)
    }),
  )
}
