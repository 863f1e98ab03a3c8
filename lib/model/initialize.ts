import { writeModelFolder } from '../checkpoint/model-folder.js'
import type { TensorWriter } from '../checkpoint/safetensors-writer.js'
import { type ExpectedTensor, expectedTensors } from '../checkpoint/tensor-names.js'
import { type ModelConfig, parseModelConfig } from '../config/model-config.js'
import { NormalNumbers } from './normal-numbers.js'
import type { ConfigJson } from './presets.js'

/**
 * `scaled`: linear weights from N(0, 1 / fan-in), those that end a residual branch (o_proj, down_proj) divided by √(2L) as in
 * GPT-2, embeddings from N(0, 0.05²), and two heads that look back (below) where queries and keys have biases. `huggingface`: every
 * matrix from N(0, initializer_range²).
 */
export type InitScheme = 'scaled' | 'huggingface'

/** The first value of one weight; `data` makes it anew on every call, so that one matrix is held at a time. */
export interface InitialWeight extends ExpectedTensor {
  data: () => Float32Array
}

/**
 * The weights of a new model by Hugging Face name and order: biases 0 but for heads that look back, norms 1, matrices random. The seed
 * fixes every bit.
 */
export function* initialWeights(
  config: ModelConfig,
  seed: number,
  options: { scheme?: InitScheme } = {},
): Generator<InitialWeight> {
  const scheme = options.scheme ?? 'scaled'
  for (const [stream, { name, shape }] of expectedTensors(config).entries()) {
    yield {
      name,
      shape,
      data: () => {
        const values = initialValues(name, shape, deviation(name, shape, config, scheme), new NormalNumbers(seed, stream))
        if (scheme === 'scaled' && config.attentionBias) makeHeadsLookBack(name, values, config)
        return values
      },
    }
  }
}

function initialValues(name: string, shape: number[], scale: number, normal: NormalNumbers): Float32Array {
  const values = new Float32Array(shape.reduce((product, size) => product * size, 1))
  if (shape.length === 1) return values.fill(name.endsWith('.bias') ? 0 : 1)
  for (let i = 0; i < values.length; i++) values[i] = scale * normal.next()
  return values
}

function deviation(name: string, shape: number[], config: ModelConfig, scheme: InitScheme): number {
  if (scheme === 'huggingface') return config.initializerRange
  if (name === 'model.embed_tokens.weight') return 0.05
  const fanIn = Math.sqrt(shape.at(-1)!)
  const endsBranch = name.endsWith('o_proj.weight') || name.endsWith('down_proj.weight')
  return endsBranch ? 1 / (fanIn * Math.sqrt(2 * config.numHiddenLayers)) : 1 / fanIn
}

/** Query heads of the first layer that begin by attending to the token before theirs, the second to the one before that. */
const LOOKING_BACK = 2
/** How much of the random weights these heads keep, what their biases are, and for pairs of channels that turn how fast (radians a token). */
const KEPT = 0.1
const BIAS = 5
const FAST = 0.1

/**
 * Copying takes a layer that finds where a token stood before and attends to what followed it (an induction head), which learns from what
 * an earlier layer knows of the tokens before. That earlier layer is slow to come about, and in some runs of a few minutes never does;
 * here it is there from the start. With RoPE a query of angle −Δω and a key of angle 0 in each pair of channels that turns by ω a token
 * agree best when they are Δ tokens apart.
 */
function makeHeadsLookBack(name: string, values: Float32Array, config: ModelConfig): void {
  const [, side, kind] = /^model\.layers\.0\.self_attn\.([qk])_proj\.(weight|bias)$/.exec(name) ?? []
  if (side === undefined) return
  const { headDim, hiddenSize, numAttentionHeads, numKeyValueHeads, ropeTheta } = config
  const queryHeads = Math.min(LOOKING_BACK, numAttentionHeads)
  const keyHeads = Math.ceil((queryHeads * numKeyValueHeads) / numAttentionHeads)
  const heads = side === 'q' ? queryHeads : keyHeads
  if (kind === 'weight') {
    for (let i = 0; i < heads * headDim * hiddenSize; i++) values[i]! *= KEPT
    return
  }
  const half = headDim / 2
  for (let head = 0; head < heads; head++)
    for (let pair = 0; pair < half; pair++) {
      const turn = ropeTheta ** (-pair / half)
      if (turn < FAST) break
      const angle = side === 'q' ? -(head + 1) * turn : 0
      values[head * headDim + pair] = BIAS * Math.cos(angle)
      values[head * headDim + half + pair] = BIAS * Math.sin(angle)
    }
}

/** What a new model folder is made from. */
export interface InitialModel {
  configJson: ConfigJson
  seed: number
  scheme?: InitScheme
  /** A model folder whose tokenizer files are copied, or the files by name. */
  tokenizer: { folder: string } | { files: Record<string, string> }
}

/**
 * Writes a randomly initialised Hugging Face model folder, in float32 and as one: it is whole or not there at all.
 * Throws `MODEL_MALFORMED`, `MODEL_UNSUPPORTED`, `WRITE_FAILED`.
 */
export async function writeInitialModel(folder: string, { configJson, seed, scheme, tokenizer }: InitialModel): Promise<void> {
  const config = parseModelConfig(configJson, 'config.json')
  const weights = initialWeights(config, seed, scheme ? { scheme } : {})
  await writeModelFolder(folder, {
    configText: `${JSON.stringify(configJson, null, 2)}\n`,
    tensors: Array.from(weights, writerOf),
    tokenizer,
  })
}

function writerOf({ name, shape, data }: InitialWeight): TensorWriter {
  return {
    name,
    dtype: 'F32',
    shape,
    byteLength: 4 * shape.reduce((product, size) => product * size, 1),
    write: (sink) => sink(new Uint8Array(data().buffer)),
  }
}
