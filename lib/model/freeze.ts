import type { ModelConfig } from '../config/model-config.js'
import { ConfigError } from '../errors.js'
import { declareParameters, type TrainableWeights } from './decoder-parameters.js'

/** What is trained while the rest is frozen, as LLaMA-Factory's keys `freeze_…` say it. */
export interface FreezeSettings {
  /** So many of the last layers; of the first where it is negative. */
  layers: number
  /** The modules of these layers that are trained: `self_attn`, `mlp`, …, or `all`. */
  modules: readonly string[]
  /** Modules outside of the layers that are trained as well: `embed_tokens`, `norm`, `lm_head`. */
  extraModules: readonly string[]
}

/**
 * Which weights of a model are trained.
 *
 * @throws ConfigError CONFIG_INVALID_VALUE for a module that the model does not have, and where nothing is left to train
 */
export function trainableBy({ layers, modules, extraModules }: FreezeSettings, config: ModelConfig): TrainableWeights {
  const names = declareParameters(config).weights.map(({ name }) => name)
  const places = new Map(names.map((name) => [name, placeOf(name)]))
  const modulesOf = (inLayers: boolean) => [
    ...new Set([...places.values()].flatMap(({ layer, module }) => ((layer !== undefined) === inLayers ? [module] : []))),
  ]
  checkModules('freeze_trainable_modules', modules, ['all', ...modulesOf(true)])
  checkModules('freeze_extra_modules', extraModules, modulesOf(false))
  const count = config.numHiddenLayers
  const first = layers > 0 ? Math.max(0, count - layers) : 0
  const end = layers > 0 ? count : Math.min(-layers, count)
  const trained = new Set(
    names.filter((name) => {
      const { layer, module } = places.get(name)!
      if (layer === undefined) return extraModules.includes(module)
      return layer >= first && layer < end && (modules.includes('all') || modules.includes(module))
    }),
  )
  if (trained.size === 0)
    throw new ConfigError(
      'CONFIG_INVALID_VALUE',
      `expected something to train but freeze_trainable_layers is ${layers} and freeze_extra_modules names nothing`,
      { key: 'freeze_trainable_layers' },
    )
  return (name) => trained.has(name)
}

/** `model.layers.3.mlp.up_proj.weight` is of module `mlp` of layer 3, `model.norm.weight` of module `norm`. */
function placeOf(name: string): { layer: number | undefined; module: string } {
  const [, layer, inner] = /\.(\d+)\.(\w+)/.exec(name) ?? []
  return layer === undefined ? { layer, module: name.split('.').at(-2)! } : { layer: Number(layer), module: inner! }
}

function checkModules(key: string, given: readonly string[], known: readonly string[]): void {
  const unknown = given.find((module) => !known.includes(module))
  if (unknown === undefined) return
  const message = `expected modules among ${known.join(', ')} for ${key} but received ${unknown}`
  throw new ConfigError('CONFIG_INVALID_VALUE', message, { key, received: unknown })
}
