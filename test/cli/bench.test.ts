import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { benchmarkedOps } from '../../lib/bench/op-cases.js'
import type { BenchRecord } from '../../lib/bench/record.js'
import type { BenchRow } from '../../lib/bench/row.js'
import { contracts } from '../../lib/graph/ops/contracts.js'
import { allTests } from '../command-line.js'
import { runCli } from './run-cli.js'

/** The rows of a run with one number of threads; where they were measured is the line before them. */
function rowsOf(stdout: string): BenchRow[] {
  return linesOf(stdout).rows
}

function linesOf(stdout: string): { record: BenchRecord; rows: BenchRow[] } {
  const [record, ...rows] = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  return { record, rows }
}

/** Sizes at which a case is timed for nothing, or with all tests those that users see. */
const sizes = allTests
  ? { options: [], step: 'S', copied: 'T 16384 C 896', shape: { T: 1024, V: 4096, C: 256, L: 4 }, parameters: 4_002_048 }
  : { options: ['--small'], step: 'tiny', copied: 'T 70 C 96', shape: { T: 80, V: 160, C: 64, L: 2 }, parameters: undefined }

/** Operations of generation: `bench/generation.ts` measures them as the steps that they are parts of. */
const measuredElsewhere = [
  'cache_append',
  'attention_prefill',
  'attention_decode',
  'linear_decode',
  'logits',
  'sample',
  'route',
  'expert_linear',
]

t.test('every operation is benchmarked', async (t) => {
  const names = Object.keys(contracts).filter((name) => !measuredElsewhere.includes(name))
  for (const name of names) t.ok(benchmarkedOps.includes(name.split('_backward')[0]!), name)
  for (const name of measuredElsewhere) t.ok(name in contracts && !benchmarkedOps.includes(name), `${name}: take it off the list`)
})

t.test('one object a line', async (t) => {
  const { code, stdout, stderr } = await runCli([
    'bench',
    'add',
    'rotary_table',
    'cast',
    sizes.step,
    '--threads',
    '2',
    '--json',
    ...sizes.options,
  ])
  t.equal(code, 0, stderr)
  const rows = rowsOf(stdout)
  t.same(
    rows.map(({ op, step, direction, dtype }) => [op ?? step, direction, dtype]),
    [
      ['rotary_table', 'forward', 'f32'],
      ['add', 'forward', 'f32'],
      [sizes.step, 'train', 'f32'],
      ['add', 'forward', 'bf16'],
      ['cast', 'forward', 'bf16'],
      [sizes.step, 'train', 'bf16'],
    ],
    'what does not depend on the type is measured once',
  )
  for (const row of rows) {
    t.equal(row.threads, 2)
    for (const value of [row.medianMs, row.gflops ?? row.gbps!, row.share, row.peakBytes])
      t.ok(value > 0 && Number.isFinite(value))
    t.ok(row.share <= 1, `share ${row.share}`)
    t.equal(row.share, Math.min(1, (row.gflops ?? row.gbps!) / row.ceiling), 'the share is of the ceiling beside it')
    t.ok(row.minMs <= row.medianMs && row.medianMs <= row.p90Ms && row.runs >= 3)
    t.equal(row.step !== undefined, row.tokensPerSecond !== undefined)
    t.notOk(row.against)
  }
  t.same(rows[2]!.shape, sizes.shape)
  if (sizes.parameters !== undefined) {
    // 6 for each of 4 million parameters and token, and 6·L·H·D·T² of attention.
    const flops = rows[2]!.gflops! * rows[2]!.medianMs * 1e6
    t.ok(Math.abs(flops - (6 * sizes.parameters * 1024 + 6 * 4 * 256 * 1024 ** 2)) < 0.01 * flops, `${flops} FLOP of a step`)
  }
  t.ok(rows[5]!.peakBytes < rows[2]!.peakBytes, 'bfloat16 takes less memory')
})

t.test('the table says how to read it', async (t) => {
  const { code, stdout, stderr } = await runCli(['bench', 'copy', '--dtype', 'bf16', '--threads', '1', ...sizes.options])
  t.equal(code, 0, stderr)
  t.match(stdout, /causal attention counted once/)
  t.match(
    stdout,
    /1 thread, \w+: \d+ GFLOP\/s of bf16 multiply-adds, [\d.]+ GB\/s of updates in place\n +dtype +shape +median +rate +share/,
  )
  t.match(stdout, new RegExp(`^copy forward +bf16 +${sizes.copied} +[\\d.]+ ms +[\\d.]+ GB/s +\\d+% +[\\d.]+ [KM]iB$`, 'm'))
})

t.test('beside an earlier run', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'limo-baseline-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const file = join(folder, 'before.jsonl')
  const bench = (...more: string[]) => runCli(['bench', 'add', 'copy', '--small', '--threads', '1', ...more])
  const { stdout } = await bench('--dtype', 'f32', '--json')
  const { record, rows } = linesOf(stdout)
  t.match(record, { version: String, date: /^\d{4}-.*Z$/, node: process.version, processor: String, threads: 1, gbps: Number })
  const before = rows.map((row) => ({ ...row, medianMs: 10 * row.medianMs }))
  const other = { ...record, processor: 'Abacus 3000' }
  await writeFile(file, [other, ...before.slice(0, 1)].map((line) => `${JSON.stringify(line)}\n`).join('\n'))
  const again = await bench('--json', '--baseline', file)
  const [add, ...rest] = rowsOf(again.stdout)
  t.same(add!.baseline, { medianMs: before[0]!.medianMs, ratio: before[0]!.medianMs / add!.medianMs })
  for (const row of rest) t.notOk('baseline' in row, `${row.op} ${row.dtype} is not in the file`)
  t.match(again.stderr, /Note: the baseline was measured on another processor: Abacus 3000\./)
  t.match((await bench('--baseline', file)).stdout, /^add forward .* [\d.]+ times as fast as before \([\d.]+ ms\)$/m)

  for (const [text, message] of [
    ['# Title\n', /before\.jsonl:1 is not a JSON object/],
    ['\n', /before\.jsonl has no rows/],
    ['{"op":"add"}\n', /before\.jsonl:1 has no medianMs/],
  ] as const) {
    await writeFile(file, text)
    t.match(await bench('--baseline', file), { code: 2, stderr: message, stdout: '' })
  }
  t.match(await bench('--baseline', join(folder, 'none')), { code: 2, stderr: /--baseline but .*none cannot be read: ENOENT/ })
})

t.test('what is not there', async (t) => {
  const nothing = await runCli(['bench', 'convolution'])
  t.match(nothing, { code: 2, stderr: /expected one of linear, .* to bench but received "convolution"/ })
  t.match(await runCli(['bench', 'add', '--threads', '1,x']), { code: 2, stderr: /--threads but received "1,x"/ })
  t.match(await runCli(['bench', 'add', '--dtype', 'f16']), { code: 2, stderr: /dtype/ })
  const noPython = await runCli(['bench', 'add', '--against', 'pytorch'], { env: { LIMO_PEER_PYTHON: '/nowhere/python3' } })
  t.match(noPython, { code: 2, stderr: /expected a Python with torch and transformers .*\n.*Set LIMO_PEER_PYTHON/, stdout: '' })
})

/** A peer that needs a minute for anything, or does what `answers` says. */
const fakePeer = (answers: string) => `
const lines = require('node:readline').createInterface({ input: process.stdin })
console.log(JSON.stringify({ version: 'fake 1.0' }))
lines.on('line', (line) => {
  const request = JSON.parse(line)
  if (request.prepare) console.error(JSON.stringify(request.prepare))
  ${answers}
  console.log(JSON.stringify(request.runMs !== undefined ? { times: [61000, 60000] } : request.memory ? { peakBytes: 12345 } : {}))
})
`

t.test('against a peer', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'limo-peer-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const against = async (what: string, answers = '') => {
    const script = join(folder, 'peer.cjs')
    await writeFile(script, fakePeer(answers))
    const args = ['bench', what, '--dtype', 'f32', '--threads', '1', '--json', '--against', 'pytorch', '--small']
    const { code, stdout, stderr } = await runCli(args, { env: { LIMO_PEER_PYTHON: `${process.execPath} ${script}` } })
    t.equal(code, 0, stderr)
    return rowsOf(stdout)[0]!
  }
  const add = await against('add')
  t.match(add.against, { peer: 'pytorch', version: 'fake 1.0', bestMs: 60000, alternated: true })
  t.equal(add.against!.ratio, 60000 / add.medianMs)
  t.notOk('peakBytes' in add.against!, 'operations share a process')
  t.match((await against('tiny')).against, { bestMs: 60000, peakBytes: 12345 })

  const refuses = await against('add', `if (request.prepare) return console.log('{"error":"no add here"}')`)
  t.match(refuses, { op: 'add', againstError: 'no add here' })
  t.ok(refuses.medianMs > 0, 'ours is measured all the same')
  const dies = await against('tiny', `if (request.runMs !== undefined) process.kill(process.pid, 'SIGKILL')`)
  t.match(dies, { step: 'tiny', againstError: /SIGKILL/ })
  t.ok(dies.medianMs > 0)
})
