import { keys, type TrainKeyName } from './train-keys.js'

/** What the keys are about, each with the first key of its section. */
const beginnings: readonly (readonly [TrainKeyName, string])[] = [
  ['model_name_or_path', 'Model'],
  ['dataset', 'Data'],
  ['per_device_train_batch_size', 'Optimization'],
  ['recompute', 'Memory and devices'],
  ['output_dir', 'Output, evaluation and checkpoints'],
]

/** The keys of a training config in sections, in the order of the table. */
export const trainSections: readonly { title: string; names: readonly TrainKeyName[] }[] = beginnings.map(([first, title], i) => {
  const names = Object.keys(keys) as TrainKeyName[]
  const end = beginnings[i + 1] === undefined ? names.length : names.indexOf(beginnings[i + 1]![0])
  return { title, names: names.slice(names.indexOf(first), end) }
})
