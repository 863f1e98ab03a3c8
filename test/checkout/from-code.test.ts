import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { runInShell } from '../command-line.js'
import { repositoryRoot } from '../shared-files.js'
import { makeProject } from './project.js'

const page = readFileSync(join(repositoryRoot, 'docs', 'from-code.md'), 'utf8')
const blocks = Array.from(page.matchAll(/^```js\n([\s\S]*?)^```$/gm), ([, text]) => text!)

t.test('every export is on the page', async (t) => {
  const index = readFileSync(join(repositoryRoot, 'lib', 'index.ts'), 'utf8')
  const names = Array.from(index.matchAll(/export (?:type )?\{([^}]*)\}/g), ([, list]) => list!.split(',')).flat()
  for (const name of names.map((text) => text.replace('type ', '').trim()).filter((text) => text !== ''))
    t.match(page, new RegExp(`\\b${name}s?\\b`), name)
})

t.test('its examples run', { timeout: 5 * 60_000 }, async (t) => {
  const project = makeProject(t)
  t.equal(blocks.length, 7)
  const printed: string[] = []
  for (const [i, text] of blocks.entries()) {
    writeFileSync(join(project, `block-${i}.mjs`), text)
    const { code, stdout, stderr } = await runInShell(`node block-${i}.mjs`, { cwd: project })
    t.same({ code, stderr }, { code: 0, stderr: '' }, text)
    printed.push(stdout)
  }
  const [training, planning, data, generation, grading, curation, graph] = printed
  t.match(training, /^12 steps, \d+ bytes\n4 \d[\s\S]*trained limo-quickstart\n3 rows in metrics\.jsonl\n$/)
  t.match(planning, /true CONFIG_INVALID_VALUE .* learningRate\n$/)
  t.match(data, /20 \d+\n.*more\.jsonl:1 \d+ \d+ 1\n\d+ true\n$/)
  t.match(generation, /^".*" \w+\n/)
  t.match(grading, /^same 7\ntrue\n0\.5\n[\s\S]*\n0 0 0 0\nfunction 1\n$/)
  t.match(curation, /^3 .*curated\/curated\.jsonl\n5\n$/)
  const [, first, last] = /^(\S+) → (\S+) /.exec(graph!) ?? []
  t.ok(Number(last) < 0.9 * Number(first), `it learns: ${graph}`)
})
