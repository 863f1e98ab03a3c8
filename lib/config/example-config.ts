import { stringify } from 'yaml'
import type { ConfigKey } from './config-key.js'
import { foreignKeys } from './foreign-keys.js'
import { aliases, keys, type TrainKeyName } from './train-keys.js'
import { trainSections } from './train-sections.js'

/** Keys that the example sets: those that every run needs, and those that are changed first. */
const examples: Readonly<Partial<Record<TrainKeyName, unknown>>> = {
  model_name_or_path: './Qwen2.5-0.5B-Instruct',
  dataset: 'chains.jsonl',
  cutoff_len: 16384,
  per_device_train_batch_size: 1,
  gradient_accumulation_steps: 64,
  learning_rate: 5e-6,
  num_train_epochs: 15,
  bf16: true,
  output_dir: './out',
}

/** A training config with every key: some set, all others behind a `#` with what they are when left out. YAML. */
export function exampleConfig(): string {
  const lines = [
    '# A run of limo-native: npx limo-native train train.yaml',
    '# The keys are LLaMA-Factory’s. Behind a # stands what a key is when it is left out; in [brackets] what that depends on.',
  ]
  for (const { title, names } of trainSections) {
    lines.push('', `### ${title}`)
    for (const name of names) {
      const key: ConfigKey = keys[name]
      const choices = key.choices ? ` (${key.choices.join(', ')})` : ''
      const isSet = Object.hasOwn(examples, name)
      lines.push(
        '',
        `# ${key.description}${choices}`,
        `${isSet ? '' : '# '}${name}: ${valueText(isSet ? examples[name] : key.default)}`.trimEnd(),
      )
    }
  }
  return `${lines.join('\n')}\n`
}

function valueText(value: unknown): string {
  return value === undefined ? '' : stringify(value, { lineWidth: 0 }).trimEnd()
}

/** A JSON schema of training configs, by which editors complete and check YAML files. */
export function configSchema(): Record<string, unknown> {
  const known = Object.entries<ConfigKey>(keys).map(([name, key]) => [name, { description: key.description, ...typeOf(key) }])
  const spelled = Object.entries(aliases).map(([name, key]) => [name, { description: `another spelling of ${key}` }])
  const foreign = foreignKeys.map((name) => [name, { description: 'a key of LLaMA-Factory that limo-native does not have' }])
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'limo-native training config',
    type: 'object',
    properties: Object.fromEntries([...foreign, ...spelled, ...known]),
    additionalProperties: false,
  }
}

/** What a key takes where a schema can say it; numbers and booleans may be text as well, which no schema of ours asks for. */
function typeOf({ type, choices, default: value, expected }: ConfigKey): Record<string, unknown> {
  const known = value === undefined ? {} : { default: value }
  if (choices) return { enum: choices, ...known }
  if (type === 'string' && !expected.startsWith('a string')) return known
  return { type: type === 'list' ? 'array' : type, ...known }
}
