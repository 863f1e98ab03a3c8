import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { isMap, isScalar, LineCounter, parseDocument } from 'yaml'
import { ConfigError } from '../errors.js'

/** Values by key, and where each was written. */
export type Written = Map<string, { value: unknown; place: string }>

/**
 * Reads the top-level keys of a YAML or JSON file, each with its line (`train.yaml:12`).
 * Throws a ConfigError: `CONFIG_NOT_FOUND`, `CONFIG_MALFORMED`.
 */
export async function readConfigFile(path: string): Promise<Written> {
  const file = basename(path)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    const message = `expected a YAML or JSON file at ${path}: ${(cause as Error).message}`
    throw new ConfigError('CONFIG_NOT_FOUND', message, { path }, { cause })
  }
  const malformed = (problem: string, cause?: unknown) =>
    new ConfigError('CONFIG_MALFORMED', `${problem} (${file})`, { path }, { cause })
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines })
  const [error] = document.errors
  if (error) throw malformed(error.message.trim(), error)
  if (document.contents === null) return new Map()
  if (!isMap(document.contents)) throw malformed('expected "key: value" lines at the top')
  const written: Written = new Map()
  for (const { key, value } of document.contents.items) {
    if (!isScalar(key)) throw malformed('expected every key to be a plain word')
    const line = key.range ? `:${lines.linePos(key.range[0]).line}` : ''
    try {
      const plain = (value as { toJS(document: unknown): unknown } | null)?.toJS(document)
      written.set(String(key.value), { value: plain, place: `${file}${line}` })
    } catch (cause) {
      throw malformed((cause as Error).message, cause) // an alias that is not resolved, or one that grows without bounds
    }
  }
  return written
}
