import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { curate } from '../../../lib/curate/curate.js'
import { parseCurateConfig } from '../../../lib/curate/curate-config.js'
import type { StageSummary } from '../../../lib/curate/stage.js'
import { allTests, whySlowTestsAreSkipped } from '../../command-line.js'
import { type Plant, writePlantedPool } from './planted-pool.js'

interface Dropped {
  curation: { place: string; dropped: { stage: string; code: string; of?: string; with?: string } }
}

async function checkPool(t: Test, count: number): Promise<void> {
  const folder = t.testdir()
  const { pool, evaluation, plants } = writePlantedPool(folder, count, 11)
  const output = join(folder, 'out')
  const config = parseCurateConfig({
    input: pool,
    output_dir: output,
    decontamination: { against: evaluation },
    selection: { count: 800 },
  })
  const summaries: StageSummary[] = []
  for await (const event of curate(config)) if (event.type === 'done') summaries.push(event.summary)

  const lines = (path: string) =>
    readFileSync(join(output, path), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line))
  const verdicts = new Map<number, { code: string; of: string | undefined }>()
  const lineOf = (source: string) => Number(source.split(':')[1])
  for (const stage of ['1-pool', '3-decontamination', '4-quality']) {
    for (const { curation } of lines(`${stage}/dropped.jsonl`) as Dropped[]) {
      const { code, of, with: question } = curation.dropped
      verdicts.set(lineOf(curation.place), { code, of: of ?? question })
    }
  }
  for (const { details } of lines('1-pool/malformed.jsonl')) verdicts.set(details.line, { code: 'malformed', of: undefined })

  const expected = new Map<string, number>()
  let wrong = 0
  for (const [line, { plant, of, evaluation: question }] of plants) {
    const verdict = verdicts.get(line)
    expected.set(plant, (expected.get(plant) ?? 0) + 1)
    const isRight =
      plant === 'base'
        ? verdict === undefined
        : verdict?.code === plant &&
          (of === undefined || lineOf(verdict.of!) <= of) &&
          (question === undefined || lineOf(verdict.of!) === question)
    if (!isRight && ++wrong <= 5) t.fail(`line ${line} is a ${plant}`, { verdict, of })
  }
  t.equal(wrong, 0, `every plant was found and nothing else: ${JSON.stringify(Object.fromEntries(expected))}`)
  const kinds: Plant[] = ['duplicate', 'near-duplicate', 'contaminated', 'wrong answer', 'malformed']
  for (const kind of kinds) t.ok(expected.get(kind)! > count / 80, `${kind} were planted`)
  t.equal(lines('curated.jsonl').length, 800)
  t.equal(summaries[0]!.read + summaries[0]!.malformed, count)
}

t.test('a pool of 10,000 problems', (t) => checkPool(t, 10_000))
const skip = !allTests ? whySlowTestsAreSkipped : process.env.CI ? 'a minute that CI does not have: npm run test:all' : false
t.test('a pool of 200,000 problems', { skip, timeout: 600_000 }, (t) => checkPool(t, 200_000))
