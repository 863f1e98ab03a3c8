import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { type EvalMetrics, readMetrics, type StepMetrics } from '../../lib/train/metrics.js'
import { allTests, runInShell, whySlowTestsAreSkipped } from '../command-line.js'
import { repositoryRoot } from '../shared-files.js'
import { writeTinyInputs } from '../tiny-inputs.js'
import { cloneInto, whyNoClone } from './clone.js'
import { makeProject } from './project.js'

/* Every command and every program of the README is run as it stands there. */

const readme = readFileSync(join(repositoryRoot, 'README.md'), 'utf8')
const blocks = [...readme.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language, text]) => ({ language, text: text! }))
const blocksOf = (language: string) => blocks.filter((block) => block.language === language).map(({ text }) => text)
const blockWith = (language: string, part: string): string => {
  const found = blocksOf(language).filter((text) => text.includes(part))
  if (found.length !== 1) throw new Error(`expected one ${language} block with "${part}" in the README but found ${found.length}`)
  return found[0]!
}

t.setTimeout(30 * 60_000)

/** A fresh clone, or why there is none. */
async function makeClone(): Promise<{ clone: string } | { reason: string }> {
  const reason = allTests ? await whyNoClone() : whySlowTestsAreSkipped
  if (reason !== false) return { reason }
  const folder = mkdtempSync(join(tmpdir(), 'limo-clone-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const clone = join(folder, 'limo-native')
  await cloneInto(clone)
  return { clone }
}

// Before the first test: tap ends a file that waits between two tests.
const cloned = await makeClone()
const clone = 'clone' in cloned ? cloned.clone : ''
const reason = 'reason' in cloned ? cloned.reason : false

t.test('every js block runs', async (t) => {
  t.equal(blocksOf('js').length, 2)
  const project = makeProject(t)
  const run = async (text: string) => {
    writeFileSync(join(project, 'example.mjs'), text)
    const { code, stdout, stderr } = await runInShell('node example.mjs', { cwd: project })
    t.same({ code, stderr }, { code: 0, stderr: '' })
    return stdout
  }
  const training = await run(blockWith('js', 'train('))
  const lines = training.trim().split('\n')
  t.equal(lines.length, 21)
  for (const [index, line] of lines.slice(0, 20).entries()) t.match(line, new RegExp(`^${index + 1} \\d\\.\\d+ \\d+$`))
  t.equal(lines[20], 'trained limo-quickstart')

  const graph = blockWith('js', 'new Graph()')
  const [, numbers] = /console\.log\(result\.y\) \/\/ Float32Array \[(.*)\]/.exec(graph)!
  t.match(await run(graph), `[ ${numbers} ]`, 'prints what the comment says')
})

t.test('the commands for one’s own model and chains', async (t) => {
  const project = makeProject(t)
  const inputs = await writeTinyInputs(project)
  const yaml = blockWith('yaml', 'model_name_or_path')
  const [, modelFolder] = /^model_name_or_path: (\S+)/m.exec(yaml)!
  const [, dataset] = /^dataset: (\S+)/m.exec(yaml)!
  symlinkSync(inputs.modelFolder, join(project, modelFolder!))
  if (join(project, dataset!) !== inputs.dataset) symlinkSync(inputs.dataset, join(project, dataset!))
  writeFileSync(join(project, 'train.yaml'), yaml)
  const { code, stdout, stderr } = await runInShell(`set -e\n${blockWith('sh', 'limo-native inspect')}`, { cwd: project })
  t.same({ code, stderr }, { code: 0, stderr: '' })
  t.match(stdout, /memory on cpu.*micro-batch 1 of 1.*The model is in out/s, 'plan, inspect, train')
})

t.test('from a clone: set-up and training', { skip: reason, timeout: 25 * 60_000 }, async (t) => {
  const startedAt = performance.now()
  // With the addon that this checkout has built of the same sources: building one is what CI begins with, and the package's own test.
  const env = { LIMO_NATIVE_PREBUILD: repositoryRoot }
  const { code, stdout, stderr } = await runInShell(blockWith('sh', 'npm ci &&'), { cwd: clone, env })
  t.equal(code, 0, 'exit code')
  t.comment(`${Math.round((performance.now() - startedAt) / 1000)} s in all; ${/Trained .*/.exec(stdout)?.[0]}`)
  if (code !== 0) return t.comment(stderr.slice(-2000))
  const isStep = (row: StepMetrics | EvalMetrics): row is StepMetrics => 'loss' in row
  const rows = (await readMetrics(join(clone, 'limo-quickstart'))).filter(isStep)
  const last = rows.slice(-10)
  const mean = last.reduce((sum, { loss }) => sum + loss, 0) / last.length
  // Slips cannot be foreseen, so the loss does not go to 0.
  t.ok(rows[0]!.loss > 1 && mean < 0.05, `it has learned: loss ${rows[0]!.loss} at first, ${mean} at the end`)
  const [, after, before] = /solves (\d+) of 100 \(\d+%\), (\d+) of 20 \(\d+%\) before/.exec(stdout) ?? []
  t.ok(Number(before) < 5 && Number(after) > 85, `it solves ${after} held out problems of 100, ${before} before`)
  t.match(JSON.parse(readFileSync(join(clone, 'limo-quickstart', 'config.json'), 'utf8')), { model_type: 'qwen2' })
})

const testCommand = blockWith('sh', 'npm cit').trim()
t.test('the command of the tests', { timeout: 25 * 60_000 }, async (t) => {
  const lines = readFileSync(join(repositoryRoot, '.ci', 'run'), 'utf8').split('\n')
  t.ok(lines.includes(testCommand), 'CI runs it as it stands')
  // CI runs it itself, on a checkout of its own.
  if (reason !== false || process.env.CI) return
  const { code, stdout, stderr } = await runInShell(testCommand, { cwd: clone })
  t.equal(code, 0, 'exit code')
  if (code !== 0) t.comment(`${stdout}\n${stderr}`.slice(-8000))
})
