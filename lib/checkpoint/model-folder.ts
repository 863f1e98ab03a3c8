import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { jsonProblem } from '../config/json-object.js'
import { type ModelConfig, readModelConfigFile } from '../config/model-config.js'
import { CheckpointError } from '../errors.js'
import { readHeader, type TensorEntry } from './safetensors.js'

/** A Hugging Face model folder: its config and where each of its tensors lies. The weights themselves are not read. */
export interface ModelFolder {
  folder: string
  config: ModelConfig
  configJson: Record<string, unknown>
  /** `config.json` as it stands in the file, numbers as they were spelled. */
  configText: string
  tensors: Map<string, TensorEntry>
}

const singleName = 'model.safetensors'
/** The file that says which shard has which tensor. */
export const indexName = 'model.safetensors.index.json'

/** Whether a model folder may have its weights under that name, or their index. */
export function isWeightsFile(name: string): boolean {
  return name === indexName || /^model(-\d+-of-\d+)?\.safetensors$/.test(name)
}

/**
 * Opens a model folder with `model.safetensors`, or shards and their index.
 *
 * Throws `MODEL_NOT_FOUND`, `MODEL_MALFORMED`, `MODEL_UNSUPPORTED`, `SAFETENSORS_MALFORMED`, `IO_FAILED`; `TENSOR_MISSING` for
 * a tensor of the index that its shard does not have.
 */
export async function openModelFolder(folder: string): Promise<ModelFolder> {
  const description = await readModelConfigFile(folder)
  const tensors = await readTensors(folder)
  const { numHiddenLayers } = description.config
  // Every layer has several tensors: without them, nothing is made as long as config.json says.
  if (numHiddenLayers > tensors.size) {
    const message =
      `expected weights of num_hidden_layers ${numHiddenLayers} layers but the files have ${tensors.size} ` +
      `${tensors.size === 1 ? 'tensor' : 'tensors'} (${folder}). Do config.json and the weights belong together?`
    throw new CheckpointError('TENSOR_MISSING', message, { folder })
  }
  return { folder, ...description, tensors }
}

async function readTensors(folder: string): Promise<Map<string, TensorEntry>> {
  const names = await readdir(folder)
  const hasSingle = names.includes(singleName)
  if (names.includes(indexName)) {
    const weightMap = await readIndex(folder)
    if (!hasSingle || Object.values(weightMap).includes(singleName)) return readShards(folder, weightMap)
    // One of the two is left over from an earlier save; Transformers takes the one file, others take the index.
    const message =
      `expected one set of weights in ${folder} but it has ${singleName} and an index of other files: ` +
      `remove ${indexName} and its shards, or ${singleName}, whichever is the older one`
    throw new CheckpointError('MODEL_MALFORMED', message, { folder, files: [singleName, indexName] })
  }
  if (hasSingle) return (await readHeader(join(folder, singleName))).entries
  const message = `expected ${singleName} or ${indexName} in ${folder}: ${withoutWeights(names)}`
  throw new CheckpointError('MODEL_NOT_FOUND', message, { folder })
}

/** What to do about a folder without weights by the names that are looked for. */
function withoutWeights(names: string[]): string {
  const find = (pattern: RegExp) => names.find((name) => pattern.test(name))
  if (find(/^adapter_(?:config\.json|model\.)/)) {
    return 'it is an adapter (LoRA), no model: merge it into its base model first (merge_and_unload() in PEFT) and save that'
  }
  const shard = find(/^model-\d+-of-\d+\.safetensors$/)
  if (shard !== undefined) return `it has shards (${shard}) but not their index: download ${indexName} too`
  const consolidated = find(/^consolidated.*\.(?:safetensors|pth)$/)
  if (consolidated !== undefined) {
    return `${consolidated} has its maker's own names of tensors: take the repository's files in Hugging Face layout, model*.safetensors`
  }
  const safetensors = find(/\.safetensors$/)
  if (safetensors !== undefined) return `${safetensors} has another name: if it has the whole model, rename it to ${singleName}`
  const other = find(/\.(?:bin|pth?|gguf)$/)
  if (other !== undefined) return `${other} is another format: save the model with save_pretrained(safe_serialization=True)`
  return 'is the download complete?'
}

const indexSchema = v.object({ weight_map: v.record(v.string(), v.string()) })

async function readShards(folder: string, weightMap: Record<string, string>): Promise<Map<string, TensorEntry>> {
  const shards = new Map<string, Map<string, TensorEntry>>()
  const tensors = new Map<string, TensorEntry>()
  for (const [name, file] of Object.entries(weightMap)) {
    const entries = shards.get(file) ?? (await readHeader(join(folder, file))).entries
    shards.set(file, entries)
    const entry = entries.get(name)
    if (entry === undefined) {
      const message = `${indexName} says that ${file} has "${name}" but it does not (${folder}): download both again`
      throw new CheckpointError('TENSOR_MISSING', message, { tensor: name, file: join(folder, file) })
    }
    tensors.set(name, entry)
  }
  for (const [file, entries] of shards) {
    for (const name of entries.keys()) {
      if (weightMap[name] === file) continue
      const said = weightMap[name] === undefined ? 'does not list it' : `says that it is in ${weightMap[name]}`
      const message = `${file} has "${name}" but ${indexName} ${said} (${folder}): save the model anew, so that both belong together`
      throw new CheckpointError('TENSOR_UNEXPECTED', message, { tensor: name, file: join(folder, file) })
    }
  }
  return tensors
}

async function readIndex(folder: string): Promise<Record<string, string>> {
  const path = join(folder, indexName)
  const malformed = (problem: string, cause?: unknown) =>
    new CheckpointError('SAFETENSORS_MALFORMED', `${problem} (${path})`, { file: path }, { cause })
  let index: unknown
  let text = ''
  try {
    text = await readFile(path, 'utf8')
    index = JSON.parse(text)
  } catch (cause) {
    throw malformed(`expected JSON: ${cause instanceof SyntaxError ? jsonProblem(text, cause) : (cause as Error).message}`, cause)
  }
  const result = v.safeParse(indexSchema, index)
  if (!result.success) throw malformed('expected weight_map to map the name of every tensor to its file')
  for (const file of Object.values(result.output.weight_map)) {
    // Shards lie beside the index: a path could lead anywhere. (A link in a download cache is the user's own doing.)
    if (!/^[^/\\:]+\.safetensors$/.test(file)) throw malformed(`expected the name of a .safetensors file but received "${file}"`)
  }
  return result.output.weight_map
}

/**
 * Checks that the files hold exactly the tensors that the model needs, as float32, bfloat16 or float16. Extras without
 * effect are tolerated: an `lm_head.weight` beside tied embeddings, and RoPE's `inv_freq` buffers of old exports.
 *
 * Throws a CheckpointError that names up to ten tensors of each kind; its code is the first that applies of
 * `TENSOR_MISSING`, `TENSOR_MISMATCH`, `TENSOR_UNEXPECTED`.
 */
export function checkTensors(
  expected: readonly { name: string; shape: readonly number[] }[],
  tensors: ReadonlyMap<string, TensorEntry>,
  { tied }: { tied: boolean },
): void {
  const missing: string[] = []
  const mismatched: string[] = []
  for (const { name, shape } of expected) {
    const entry = tensors.get(name)
    if (entry === undefined) missing.push(name)
    else if (entry.shape.join() !== shape.join()) {
      mismatched.push(`${name} (expected [${shape.join(', ')}] but received [${entry.shape.join(', ')}])`)
    } else if (!['F32', 'BF16', 'F16'].includes(entry.dtype)) {
      mismatched.push(`${name} (expected F32, BF16 or F16 but received ${entry.dtype})`)
    }
  }
  const known = new Set(expected.map(({ name }) => name))
  const harmless = (name: string) => (tied && name === 'lm_head.weight') || name.endsWith('.rotary_emb.inv_freq')
  const unexpected = [...tensors.keys()].filter((name) => !known.has(name) && !harmless(name))
  const findings = [
    { code: 'TENSOR_MISSING', what: 'missing', names: missing },
    { code: 'TENSOR_MISMATCH', what: 'of another shape or dtype', names: mismatched },
    { code: 'TENSOR_UNEXPECTED', what: 'without a place in the model', names: unexpected },
  ] as const
  const found = findings.filter(({ names }) => names.length > 0)
  if (found.length === 0) return
  const prefix = otherPrefix(missing, unexpected)
  if (prefix !== undefined) {
    const { removed, added, received } = prefix
    const [less, more] = [`"${added}" is missing in front of all names`, `"${removed}" stands in front of all names`]
    const problem =
      removed === '' ? less : added === '' ? more : `"${removed}" stands in front of all names in place of "${added}"`
    const message =
      `expected tensors named as "${missing[0]}" but received "${received}": ${problem}. Rename them, or save the whole model ` +
      '(with its head, not compiled or wrapped) with save_pretrained.'
    throw new CheckpointError('TENSOR_MISSING', message, { missing, mismatched, unexpected })
  }
  const message = found
    .map(({ what, names }) => `${names.length} ${names.length === 1 ? 'tensor' : 'tensors'} ${what}: ${firstTen(names)}`)
    .join('; ')
  throw new CheckpointError(found[0]!.code, `${message}. Do config.json and the weights belong together?`, {
    missing,
    mismatched,
    unexpected,
  })
}

/**
 * The prefix by which the names of all tensors that are missing differ from those without a place: `model.` that is left out (a model
 * without its head), or `_orig_mod.` and `module.` of a model that was wrapped.
 */
function otherPrefix(missing: string[], unexpected: string[]): { removed: string; added: string; received: string } | undefined {
  const [name] = missing
  if (name === undefined || missing.length < 2 || missing.length > unexpected.length) return undefined
  const received = new Set(unexpected)
  for (const candidate of unexpected) {
    for (let cut = 0; cut >= 0; cut = name.indexOf('.', cut) + 1 || -1) {
      if (!candidate.endsWith(name.slice(cut))) continue
      const [added, removed] = [name.slice(0, cut), candidate.slice(0, candidate.length - (name.length - cut))]
      const fits = (other: string) => other.startsWith(added) && received.has(removed + other.slice(added.length))
      if ((added !== '' || removed !== '') && missing.every(fits)) return { removed, added, received: candidate }
    }
  }
  return undefined
}

function firstTen(names: string[]): string {
  return names.length > 10 ? `${names.slice(0, 10).join(', ')} and ${names.length - 10} more` : names.join(', ')
}

const copiedNames =
  /^(tokenizer\.json|tokenizer_config\.json|special_tokens_map\.json|added_tokens\.json|vocab\.(json|txt)|merges\.txt|tokenizer\.model|chat_template\.(jinja|json)|generation_config\.json|(LICENSE|LICENCE|NOTICE|USE_POLICY)[^/]*)$/

/** The files of a model folder (names, sorted) that a fine-tuned model takes over unchanged: tokenizer, template, licence.
 * Throws a CheckpointError `MODEL_NOT_FOUND`. */
export async function tokenizerFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause) => {
    throw new CheckpointError('MODEL_NOT_FOUND', `expected a model folder at ${folder}: ${cause.message}`, { folder }, { cause })
  })
  return entries
    .filter((entry) => !entry.isDirectory() && copiedNames.test(entry.name))
    .map((entry) => entry.name)
    .sort()
}
