import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type FolderWriter, publishFolder } from './atomic-folder.js'
import { addedFiles, type ChatMetadata, changedFile } from './chat-metadata.js'
import { jsonKeys } from './json-keys.js'
import { indexName, tokenizerFiles } from './model-folder.js'
import { planShards, produceSafetensors, type TensorWriter } from './safetensors-writer.js'

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
