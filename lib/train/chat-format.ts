import { join } from 'node:path'
import type { ChatMetadata } from '../checkpoint/chat-metadata.js'
import type { ModelConfig } from '../config/model-config.js'
import type { TrainConfig } from '../config/train-config.js'
import type { Turn } from '../data/conversation.js'
import { notScored } from '../data/example.js'
import type { Examples } from '../data/examples.js'
import { type ChatTemplate, loadChatTemplate } from '../data/template/chat-template.js'
import { readAddedTokens } from '../data/tokenizer/added-tokens.js'
import { readJsonObject, specialTokensOf } from '../data/tokenizer/tokenizer.js'
import { DataError } from '../errors.js'
import { readEndIds } from '../generate/generation-config.js'

/** The chat format that a run teaches its model, as far as the model's folder does not already say it. */
export interface ChatFormat {
  /** For the folders that the run writes. */
  metadata: ChatMetadata
  /** Tokens that end a turn in the examples. */
  endIds: number[]
  /** A line for each change. */
  notes: string[]
}

export interface ChatFormatOptions {
  config: TrainConfig
  modelFolder: string
  model: ModelConfig
  /** To train on. */
  examples: Examples
}

/** Examples that are looked at for the tokens that end their turns. */
const LOOKED_AT = 64

/**
 * What others have to be told of a model after training: the token that it was taught to end its turns with, without which a
 * base model's answers would run on to their limit, and the template that it was trained in, where the run names another than
 * the folder's own.
 */
export async function chatFormatOf(options: ChatFormatOptions): Promise<ChatFormat> {
  const { config, modelFolder, model, examples } = options
  const definition = await readJsonObject(join(modelFolder, 'tokenizer.json'))
  const added = readAddedTokens(definition?.added_tokens) ?? []
  // Without a tokenizer there were no conversations: rows came as tokens.
  if (added.length === 0) return { metadata: {}, endIds: [], notes: [] }
  const specialTokens = specialTokensOf((await readJsonObject(join(modelFolder, 'tokenizer_config.json'))) ?? {})
  const template = await templateOrNone(modelFolder, config.template, specialTokens)
  const marker = template?.endOfTurn()
  const { bos_token: bos, eos_token: eos } = specialTokens
  // A scored stretch may end in one where it was cut off, or where rows came as tokens.
  const openings = [...(template?.openings() ?? []), ...(bos === eos || bos === undefined ? [] : [bos])]
  const mayEnd = added.filter(({ special, content }) => special && !openings.includes(content)).map(({ id }) => id)
  const endIds = taughtEnds(examples, new Set(mayEnd), added.find(({ content }) => content === marker)?.id)
  const before = await readEndIds(modelFolder, model)
  const missing = endIds.filter((id) => !before.includes(id))
  const nameOf = (id: number) => added.find((token) => token.id === id)?.content ?? String(id)

  const metadata: ChatMetadata = {}
  const notes: string[] = []
  if (missing.length > 0) {
    metadata.eosTokenIds = [...missing, ...before]
    const beside = before.length === 0 ? '' : ` beside ${before.map(nameOf).join(', ')}`
    const tokens = missing.map(nameOf).join(', ')
    notes.push(
      `turns end in ${tokens}, which the model's generation_config.json does not name: that of the trained model does${beside}`,
    )
  }
  const { eos_token: eosToken } = specialTokens
  const [only] = endIds
  // A template that writes eos_token would write another text with another one.
  const isVariable = /\beos_token\b/.test(template?.source ?? '')
  if (endIds.length === 1 && nameOf(only!) !== eosToken && !isVariable) {
    metadata.eosToken = nameOf(only!)
    notes.push(`the trained model's eos_token is ${nameOf(only!)}, which ends its turns, instead of ${eosToken ?? 'none'}`)
  }
  if (
    template !== undefined &&
    config.template !== undefined &&
    (await isAnother(template, config, modelFolder, specialTokens))
  ) {
    metadata.chatTemplate = template.source
    notes.push(
      `the trained model gets a chat_template.jinja with template: ${config.template}, because the model's own writes other text`,
    )
  }
  return { metadata, endIds, notes }
}

async function templateOrNone(
  folder: string,
  name: string | undefined,
  specialTokens: Record<string, string>,
): Promise<ChatTemplate | undefined> {
  try {
    return await loadChatTemplate(folder, name, specialTokens)
  } catch (error) {
    // Rows that came as tokens need none.
    if (!(error instanceof DataError)) throw error
    return undefined
  }
}

/**
 * Tokens that end scored turns: those that `mayEnd` one at the end of a scored stretch, and the template's own (`marker`) where it is
 * scored, which with `train_on_prompt` is inside of one.
 */
function taughtEnds(examples: Examples, mayEnd: ReadonlySet<number>, marker: number | undefined): number[] {
  const ends = new Set<number>()
  const step = Math.max(1, Math.floor(examples.count / LOOKED_AT))
  for (let index = 0; index < examples.count; index += step) {
    const { labels } = examples.read(index)
    for (const [t, label] of labels.entries()) {
      if (label === notScored) continue
      const isLast = t + 1 === labels.length || labels[t + 1] === notScored
      if (label === marker || (isLast && mayEnd.has(label))) ends.add(label)
    }
  }
  return [...ends]
}

const user = (content: string): Turn => ({ role: 'user', content })
const assistant = (content: string): Turn => ({ role: 'assistant', content })

async function isAnother(
  template: ChatTemplate,
  { defaultSystem }: TrainConfig,
  folder: string,
  specialTokens: Record<string, string>,
): Promise<boolean> {
  const own = await templateOrNone(folder, undefined, specialTokens)
  if (own === undefined) return true
  const begin: Turn[] = defaultSystem === '' ? [] : [{ role: 'system', content: defaultSystem }]
  const prompts = [[user('1+1?')], [user('1+1?'), assistant('2'), user('2+2?')]].map((turns) => [...begin, ...turns])
  const texts = (by: ChatTemplate) => [
    ...prompts.map((turns) => by.prompt(turns, 'a prompt').text),
    by.render([...prompts[0]!, assistant('2')], 'a conversation').text,
  ]
  const written = texts(template)
  try {
    return texts(own).some((text, index) => text !== written[index])
  } catch (error) {
    if (!(error instanceof DataError)) throw error
    return true
  }
}
