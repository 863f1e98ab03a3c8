import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { type ModelConfig, readModelConfigFile } from '../config/model-config.js'
import { CheckpointError } from '../errors.js'
import { type FolderWriter, publishFolder } from './atomic-folder.js'
import { addedFiles, type ChatMetadata, changedFile } from './chat-metadata.js'
import { jsonKeys } from './json-keys.js'
import { readHeader, type TensorEntry } from './safetensors.js'
import { planShards, produceSafetensors, type TensorWriter } from './safetensors-writer.js'

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
const indexName = 'model.safetensors.index.json'

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
  if (names.includes(indexName)) return readShards(folder)
  if (names.includes(singleName)) return (await readHeader(join(folder, singleName))).entries
  const other = names.find((name) => /\.(bin|pth?|gguf|safetensors)$/.test(name))
  const remedy = other
    ? `${other} is another format: save the model with save_pretrained(safe_serialization=True)`
    : 'is the download complete?'
  throw new CheckpointError('MODEL_NOT_FOUND', `expected ${singleName} or ${indexName} in ${folder}: ${remedy}`, { folder })
}

const indexSchema = v.object({ weight_map: v.record(v.string(), v.string()) })

async function readShards(folder: string): Promise<Map<string, TensorEntry>> {
  const weightMap = await readIndex(folder)
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
      const message = `${file} has "${name}" but ${indexName} does not say so (${folder}): download both again`
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
  try {
    index = JSON.parse(await readFile(path, 'utf8'))
  } catch (cause) {
    throw malformed(`expected JSON: ${(cause as Error).message}`, cause)
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
  const message = found
    .map(({ what, names }) => `${names.length} ${names.length === 1 ? 'tensor' : 'tensors'} ${what}: ${firstTen(names)}`)
    .join('; ')
  throw new CheckpointError(found[0]!.code, `${message}. Do config.json and the weights belong together?`, {
    missing,
    mismatched,
    unexpected,
  })
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

/** Contents of a model folder to be written. */
export interface ModelContents {
  /** `config.json` of the model it was trained from: all of it is kept but the dtype. */
  configText: string
  tensors: TensorWriter[]
  /** The model folder whose tokenizer files are copied but for what `chat` says, or the files themselves by name. */
  tokenizer: { folder: string; chat?: ChatMetadata | undefined } | { files: Record<string, string> }
  maxShardBytes?: number
}

/** Writes the files of a model: config.json, weights (with an index above `maxShardBytes`, 5 GB) and tokenizer files. */
export async function writeModelFiles(writer: FolderWriter, contents: ModelContents): Promise<void> {
  const { tensors, tokenizer } = contents
  await writer.writeText('config.json', withDtype(contents.configText, tensors[0]?.dtype ?? 'F32'))
  if ('folder' in tokenizer) {
    await writeTokenizerFiles(writer, tokenizer.folder, contents.configText, tokenizer.chat ?? {})
  } else {
    for (const [name, text] of Object.entries(tokenizer.files)) await writer.writeText(name, text)
  }
  const { shards, index } = planShards(tensors, contents.maxShardBytes)
  for (const shard of shards) {
    // Transformers refuses a file whose metadata does not say which framework's layout it has.
    await writer.writeFile(shard.file, (sink) => produceSafetensors(shard.tensors, sink, { format: 'pt' }))
  }
  if (index) await writer.writeText(indexName, `${JSON.stringify(index, null, 2)}\n`)
}

async function writeTokenizerFiles(writer: FolderWriter, folder: string, configText: string, chat: ChatMetadata): Promise<void> {
  const names = await tokenizerFiles(folder)
  for (const name of names) {
    const change = changedFile(name, chat)
    if (change === undefined) await writer.copyFile(name, join(folder, name))
    else await writer.writeText(name, change(await readFile(join(folder, name), 'utf8')))
  }
  for (const { name, text } of addedFiles(names, configText, chat)) await writer.writeText(name, text)
}

/** Writes a model folder as one; a folder of that name is replaced. Throws a CheckpointError `WRITE_FAILED`. */
export async function writeModelFolder(target: string, contents: ModelContents): Promise<void> {
  await publishFolder(target, (writer) => writeModelFiles(writer, contents))
}

const dtypeNames: Partial<Record<string, string>> = { F32: 'float32', BF16: 'bfloat16', F16: 'float16' }

/** `config.json` with the dtype of the weights (`torch_dtype`, or `dtype` as Transformers 5 has it); not a byte else changes. */
export function withDtype(configText: string, dtype: string): string {
  const name = JSON.stringify(dtypeNames[dtype] ?? dtype.toLowerCase())
  let text = configText
  const keys = [...jsonKeys(configText)].filter(({ depth }) => depth === 1)
  const dtypeKeys = keys.filter(({ key }) => key === 'torch_dtype' || key === 'dtype')
  for (const { valueStart } of dtypeKeys.reverse()) {
    const [value] = /^(null|"(?:[^"\\]|\\.)*")/.exec(text.slice(valueStart, valueStart + 200)) ?? ['']
    text = text.slice(0, valueStart) + name + text.slice(valueStart + value.length)
  }
  if (dtypeKeys.length > 0) return text
  const end = text.trimEnd().lastIndexOf('}')
  const body = text.slice(0, end).trimEnd()
  return `${body}${keys.length > 0 ? ',' : ''}\n  "torch_dtype": ${name}\n}${text.slice(end + 1)}`
}
