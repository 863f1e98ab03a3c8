import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { ConfigError } from '../errors.js'
import { isJsonObject, type JsonObject, jsonProblem } from './json-object.js'
import { invalid, malformed, unsupported } from './model-error.js'
import { type RopeScaling, readRope } from './rope.js'
import { showValue } from './show-value.js'

export { attentionScale, longestContext, type RopeScaling, rotaryInverseFrequencies } from './rope.js'

/** What a model's `config.json` says about its shape. The families differ by these fields alone. */
export interface ModelConfig {
  modelType: 'qwen2' | 'qwen3' | 'llama'
  vocabSize: number
  hiddenSize: number
  intermediateSize: number
  numHiddenLayers: number
  numAttentionHeads: number
  numKeyValueHeads: number
  headDim: number
  rmsNormEps: number
  ropeTheta: number
  ropeScaling?: RopeScaling
  tieWordEmbeddings: boolean
  /** Whether q, k and v projections have a bias; o has none in any family that is trained. */
  attentionBias: boolean
  /** Whether q and k are normalised per head before RoPE. */
  qkNorm: boolean
  maxPositionEmbeddings: number
  initializerRange: number
  bosTokenId?: number
  eosTokenId?: number[]
}

/** What Transformers' configuration class of each family takes for a field that config.json leaves out. */
const families = {
  qwen2: { architecture: 'Qwen2ForCausalLM', attentionBias: true, qkNorm: false, keyValueHeads: 32, maxPositions: 32768 },
  qwen3: { architecture: 'Qwen3ForCausalLM', attentionBias: false, qkNorm: true, keyValueHeads: 32, maxPositions: 32768 },
  llama: { architecture: 'LlamaForCausalLM', attentionBias: false, qkNorm: false, keyValueHeads: undefined, maxPositions: 2048 },
} as const

/** What the attention kernel holds of a head at once; the native side's kMaxHeadDim. */
const MAX_HEAD_DIM = 512

/** What is planned for: the deepest published decoders have some 130 layers, and lists grow with every one. */
const MAX_LAYERS = 1000

/** Bytes of weights, gradients and optimizer state up to which every size and offset is an exact number. */
const MAX_STATE_BYTES = Number.MAX_SAFE_INTEGER

/** Bytes of each parameter in training: weight, gradient, two moments, a copy in bfloat16. */
const STATE_BYTES = 18

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(1))
const tokenId = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const positive = v.pipe(v.number(), v.finite(), v.gtValue(0))

/** The fields that are read, with what each must be. Null means left out, as it does in Python. */
const fields = {
  model_type: { schema: v.string(), expected: 'a string' },
  vocab_size: { schema: count, expected: 'a positive integer' },
  hidden_size: { schema: count, expected: 'a positive integer' },
  intermediate_size: { schema: count, expected: 'a positive integer' },
  num_hidden_layers: { schema: count, expected: 'a positive integer' },
  num_attention_heads: { schema: count, expected: 'a positive integer' },
  num_key_value_heads: { schema: count, expected: 'a positive integer' },
  head_dim: { schema: count, expected: 'a positive integer' },
  rms_norm_eps: { schema: positive, expected: 'a positive number' },
  rope_theta: { schema: positive, expected: 'a positive number' },
  tie_word_embeddings: { schema: v.boolean(), expected: 'true or false' },
  max_position_embeddings: { schema: count, expected: 'a positive integer' },
  initializer_range: { schema: positive, expected: 'a positive number' },
  bos_token_id: { schema: tokenId, expected: 'a token id' },
  eos_token_id: { schema: v.union([tokenId, v.array(tokenId)]), expected: 'a token id or a list of them' },
} as const

type Fields = typeof fields
type Values = { [K in keyof Fields]: v.InferOutput<Fields[K]['schema']> | undefined }

/**
 * Reads a parsed `config.json` (`place` is named in errors).
 *
 * Throws a ConfigError: `MODEL_MALFORMED` for a field that is missing or has a wrong value, `MODEL_UNSUPPORTED`,
 * naming field and value, for anything that this package would not compute exactly as Transformers does.
 */
export function parseModelConfig(json: unknown, place: string): ModelConfig {
  if (!isJsonObject(json)) throw malformed(place, `expected an object in config.json but received ${showValue(json)}`)
  const values = readFields(json, place)
  const family = familyOf(values.model_type, place)
  refuseUnsupported(json, values, place)
  const numAttentionHeads = required(values, 'num_attention_heads', place)
  const hiddenSize = required(values, 'hidden_size', place)
  const maxPositionEmbeddings = values.max_position_embeddings ?? family.maxPositions
  const rope = readRope(json, { ropeTheta: values.rope_theta, maxPositionEmbeddings }, place)
  const eosTokenId = values.eos_token_id
  const config: ModelConfig = {
    modelType: values.model_type as ModelConfig['modelType'],
    vocabSize: required(values, 'vocab_size', place),
    hiddenSize,
    intermediateSize: required(values, 'intermediate_size', place),
    numHiddenLayers: required(values, 'num_hidden_layers', place),
    numAttentionHeads,
    // An explicit null means as many as heads, in every family; only a field left out takes the family's default.
    numKeyValueHeads:
      values.num_key_value_heads ??
      ('num_key_value_heads' in json ? numAttentionHeads : (family.keyValueHeads ?? numAttentionHeads)),
    headDim: values.head_dim ?? (values.model_type === 'qwen3' ? 128 : hiddenSize / numAttentionHeads),
    rmsNormEps: values.rms_norm_eps ?? 1e-6,
    ropeTheta: rope.theta,
    ...(rope.scaling && { ropeScaling: rope.scaling }),
    tieWordEmbeddings: values.tie_word_embeddings ?? false,
    attentionBias: family.attentionBias,
    qkNorm: family.qkNorm,
    maxPositionEmbeddings,
    initializerRange: values.initializer_range ?? 0.02,
    ...(values.bos_token_id !== undefined && { bosTokenId: values.bos_token_id }),
    ...(eosTokenId !== undefined && { eosTokenId: Array.isArray(eosTokenId) ? eosTokenId : [eosTokenId] }),
  }
  checkShape(config, place)
  checkSize(config, place)
  return config
}

/**
 * Reads `config.json` of a model folder.
 *
 * Throws a ConfigError: `MODEL_NOT_FOUND` where there is no such folder or file, and those of {@link parseModelConfig}.
 */
export async function readModelConfig(folder: string): Promise<ModelConfig> {
  return (await readModelConfigFile(folder)).config
}

/** The config of a model folder, with the text and the JSON that it was read from. Errors as {@link readModelConfig}. */
export async function readModelConfigFile(
  folder: string,
): Promise<{ config: ModelConfig; configText: string; configJson: JsonObject }> {
  const path = join(folder, 'config.json')
  let configText: string
  try {
    configText = await readFile(path, 'utf8')
  } catch (cause) {
    throw await modelNotFound(folder, path, cause)
  }
  let json: unknown
  try {
    json = JSON.parse(configText)
  } catch (cause) {
    throw malformed(path, `expected JSON in config.json: ${jsonProblem(configText, cause)}`)
  }
  return { config: parseModelConfig(json, path), configText, configJson: json as JsonObject }
}

async function modelNotFound(folder: string, path: string, cause: unknown): Promise<ConfigError> {
  const isFolder = await stat(folder).then(
    (status) => status.isDirectory(),
    () => false,
  )
  const names = isFolder ? await readdir(folder).catch(() => []) : []
  const hubId = /^[\w.-]+\/[\w.-]+$/.test(folder) && !folder.startsWith('.')
  const remedy = isFolder
    ? await withoutConfig(folder, names, cause)
    : hubId
      ? `there is no such folder here. Models are not downloaded by limo-native: run ` +
        `"git clone https://huggingface.co/${folder} ${folder}" with git-lfs, or "hf download ${folder} --local-dir ${folder}", first`
      : 'there is no such folder'
  const message = `expected a Hugging Face model folder but received "${folder}": ${remedy}`
  return new ConfigError('MODEL_NOT_FOUND', message, { folder, path }, { cause })
}

/** What to do about a folder whose config.json is not there. */
async function withoutConfig(folder: string, names: string[], cause: unknown): Promise<string> {
  if ((cause as NodeJS.ErrnoException).code === 'EACCES') return 'its config.json cannot be read: you have no permission for it'
  if (names.includes('snapshots')) {
    const [snapshot = 'HASH'] = await readdir(join(folder, 'snapshots')).catch(() => [])
    return `it is the root of a model in the cache of the Hugging Face Hub: take ${join(folder, 'snapshots', snapshot)}`
  }
  if (names.includes('adapter_config.json'))
    return 'it is an adapter (LoRA), no model: merge it into its base model first (merge_and_unload() in PEFT) and save that'
  const inner = names.find((name) => name.startsWith('checkpoint-'))
  if (inner !== undefined) return `it has checkpoints but no config.json: name one of them, such as ${join(folder, inner)}`
  const gguf = names.find((name) => name.endsWith('.gguf'))
  if (gguf !== undefined) return `${gguf} is another format: take the repository in Hugging Face layout`
  return `it has no config.json${names.length === 0 ? ', and nothing else' : ''}: is the download complete?`
}

function readFields(json: JsonObject, place: string): Values {
  const values: JsonObject = {}
  for (const [name, field] of Object.entries(fields)) {
    const value = json[name]
    if (value === undefined || value === null) continue
    const result = v.safeParse(field.schema, value)
    if (!result.success) throw invalid(name, field.expected, value, place)
    values[name] = result.output
  }
  return values as Values
}

function familyOf(modelType: string | undefined, place: string) {
  if (modelType === undefined) throw invalid('model_type', Object.keys(families).join(', '), undefined, place)
  if (!Object.hasOwn(families, modelType)) throw unsupported('model_type', modelType, place, Object.keys(families).join(', '))
  return families[modelType as keyof typeof families]
}

/** Everything a config.json of these families can switch on that the decoder does not compute. */
function refuseUnsupported(json: JsonObject, values: Values, place: string): void {
  const refuse = (field: string, supported: string) => {
    throw unsupported(field, json[field], place, supported)
  }
  const layers = required(values, 'num_hidden_layers', place)
  const { architecture } = families[values.model_type as keyof typeof families]
  const architectures = json.architectures
  if (Array.isArray(architectures) && architectures.length > 0 && !architectures.includes(architecture)) {
    refuse('architectures', architecture)
  }
  if ((json.hidden_act ?? 'silu') !== 'silu') refuse('hidden_act', 'silu')
  if (json.mlp_bias) refuse('mlp_bias', 'false')
  // Transformers' Qwen2 has its q, k, v biases built in and reads no such field; in the others it would add one to o too.
  if (json.attention_bias && values.model_type !== 'qwen2') refuse('attention_bias', 'false')
  if (json.attention_dropout) refuse('attention_dropout', '0')
  if ((json.pretraining_tp ?? 1) !== 1) refuse('pretraining_tp', '1')
  if (json.quantization_config) refuse('quantization_config', 'none: train from the unquantized weights')
  if ((json.partial_rotary_factor ?? 1) !== 1) refuse('partial_rotary_factor', '1')
  const windowStart = typeof json.max_window_layers === 'number' ? json.max_window_layers : 28
  if (json.use_sliding_window && json.sliding_window !== null && windowStart < layers) refuse('use_sliding_window', 'false')
  if (Array.isArray(json.layer_types) && json.layer_types.some((type) => type !== 'full_attention')) {
    refuse('layer_types', 'full_attention')
  }
}

function checkShape(config: ModelConfig, place: string): void {
  const { headDim, numAttentionHeads, numKeyValueHeads, numHiddenLayers } = config
  if (numHiddenLayers > MAX_LAYERS) throw unsupported('num_hidden_layers', numHiddenLayers, place, `at most ${MAX_LAYERS}`)
  if (!Number.isInteger(headDim)) {
    throw malformed(place, `expected hidden_size to be a multiple of num_attention_heads (${numAttentionHeads})`, 'hidden_size')
  }
  if (headDim % 2 !== 0) throw unsupported('head_dim', headDim, place, 'an even number')
  if (headDim > MAX_HEAD_DIM) throw unsupported('head_dim', headDim, place, `at most ${MAX_HEAD_DIM}`)
  if (numAttentionHeads % numKeyValueHeads !== 0) {
    throw malformed(
      place,
      `expected num_attention_heads (${numAttentionHeads}) to be a multiple of num_key_value_heads (${numKeyValueHeads})`,
      'num_key_value_heads',
    )
  }
}

/** Refuses sizes that no machine holds, before anything is made as large as they say. */
function checkSize(config: ModelConfig, place: string): void {
  const { vocabSize, hiddenSize, intermediateSize, numHiddenLayers, numAttentionHeads, numKeyValueHeads, headDim } = config
  const layer = hiddenSize * (3 * intermediateSize + 2 * headDim * (numAttentionHeads + numKeyValueHeads))
  const bytes = STATE_BYTES * (numHiddenLayers * layer + 2 * vocabSize * hiddenSize)
  if (bytes <= MAX_STATE_BYTES) return
  const sizes = { vocab_size: vocabSize, hidden_size: hiddenSize, intermediate_size: intermediateSize }
  const written = Object.entries(sizes).map(([field, size]) => `${field} ${size}`)
  throw malformed(
    place,
    `expected the sizes of a model but received ${written.join(', ')}, num_attention_heads ${numAttentionHeads} and ` +
      `num_hidden_layers ${numHiddenLayers}, whose training state would take ${bytes.toPrecision(2)} bytes`,
  )
}

function required<K extends keyof Values>(values: Values, field: K, place: string): NonNullable<Values[K]> {
  const value = values[field]
  if (value === undefined) throw invalid(field, fields[field].expected, undefined, place)
  return value as NonNullable<Values[K]>
}
