import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type YAMLMap } from 'yaml'
import { ConfigError } from '../errors.js'
import { isJsonObject } from './json-object.js'

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
  const document = parseDocument(text, { lineCounter: lines, merge: true })
  const [error] = document.errors
  if (error?.code === 'MULTIPLE_DOCS')
    throw malformed('expected one document but received several, separated by ---: leave the one that counts', error)
  if (error) throw malformed(error.message.trim(), error)
  if (document.contents === null) return new Map()
  if (!isMap(document.contents)) throw malformed('expected "key: value" lines at the top')
  const written: Written = new Map()
  const merged: Written = new Map()
  const sources = mergedAnchors(document.contents)
  for (const { key, value } of document.contents.items) {
    // `base: &base {...}` for `<<: *base` is no key of its own.
    if (isMap(value) && value.anchor !== undefined && sources.has(value.anchor)) continue
    if (!isScalar(key)) throw malformed('expected every key to be a plain word')
    const line = key.range ? `:${lines.linePos(key.range[0]).line}` : ''
    try {
      const plain = (value as { toJS(document: unknown): unknown } | null)?.toJS(document)
      const place = `${file}${line}`
      if (isMergeKey(key.value)) mergeInto(merged, plain, place, malformed)
      else written.set(String(key.value), { value: plain, place })
    } catch (cause) {
      if (cause instanceof ConfigError) throw cause
      throw malformed((cause as Error).message, cause) // an alias that is not resolved, or one that grows without bounds
    }
  }
  // What stands in the file itself wins over what it merges, wherever it stands.
  return new Map([...merged, ...written])
}

/** The `<<` of YAML 1.1: the keys of another map, or of several, of which the first wins. */
function isMergeKey(key: unknown): boolean {
  return key === '<<' || (typeof key === 'symbol' && key.description === '<<')
}

/** Names of the anchors whose maps are merged at the top. */
function mergedAnchors({ items }: YAMLMap): Set<string> {
  const merged = items.filter(({ key }) => isScalar(key) && isMergeKey(key.value)).map(({ value }) => value)
  const aliases = merged.flatMap((value) => (isSeq(value) ? value.items : [value])).filter(isAlias)
  return new Set(aliases.map(({ source }) => source))
}

function mergeInto(merged: Written, value: unknown, place: string, malformed: (problem: string) => ConfigError): void {
  for (const map of Array.isArray(value) ? value : [value]) {
    if (!isJsonObject(map)) throw malformed(`expected << to have keys and values to merge at ${place}`)
    for (const [key, inner] of Object.entries(map)) if (!merged.has(key)) merged.set(key, { value: inner, place })
  }
}
