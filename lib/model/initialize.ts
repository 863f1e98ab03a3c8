import { writeModelFolder } from '../checkpoint/model-files.js'
import type { TensorWriter } from '../checkpoint/safetensors-writer.js'
import { type ModelConfig, parseModelConfig } from '../config/model-config.js'
import type { Parameter, Weight } from '../plan/parameters.js'
import { NormalNumbers } from '../random/normal-numbers.js'
import { declareParameters } from './decoder-parameters.js'
import { lookingBack } from './heads-looking-back.js'
import type { ConfigJson } from './presets.js'

/**
 * `scaled`: linear weights from N(0, 1 / fan-in), those that end a residual branch (o_proj, down_proj) divided by √(2L) as in
 * GPT-2, embeddings from N(0, 0.05²), and two heads that look back (see `lookingBack`) where queries and keys have biases. `huggingface`: every
 * matrix from N(0, initializer_range²).
 */
export type InitScheme = 'scaled' | 'huggingface'

/** The first value of one weight; `data` makes it anew on every call, so that one matrix is held at a time. */
export interface InitialWeight extends Weight {
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
  const declared = declareParameters(config)
  const roles = new Map(declared.all.flatMap(({ role, parts }) => parts.map((part) => [part, role])))
  const adjust = scheme === 'scaled' ? lookingBack(config, declared) : undefined
  for (const [stream, weight] of declared.weights.entries()) {
    const role = roles.get(weight)!
    yield {
      ...weight,
      data: () => {
        const values = initialValues(weight, role, deviation(weight, role, config, scheme), new NormalNumbers(seed, stream))
        adjust?.(weight, values)
        return values
      },
    }
  }
}

function initialValues({ shape }: Weight, role: Parameter['role'], scale: number, normal: NormalNumbers): Float32Array {
  const values = new Float32Array(shape.reduce((product, size) => product * size, 1))
  if (role === 'bias') return values
  if (role === 'norm') return values.fill(1)
  for (let i = 0; i < values.length; i++) values[i] = scale * normal.next()
  return values
}

function deviation({ shape }: Weight, role: Parameter['role'], config: ModelConfig, scheme: InitScheme): number {
  if (scheme === 'huggingface') return config.initializerRange
  if (role === 'embedding') return 0.05
  const fanIn = Math.sqrt(shape.at(-1)!)
  return role === 'branch-end' ? 1 / (fanIn * Math.sqrt(2 * config.numHiddenLayers)) : 1 / fanIn
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
