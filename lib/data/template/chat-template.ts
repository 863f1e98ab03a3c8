import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DataError } from '../../errors.js'
import type { Turn } from '../records.js'
import { readJsonObject } from '../tokenizer/tokenizer.js'
import { type BuiltInTemplate, builtInTemplates } from './built-in-templates.js'
import { compileTemplate, type TemplateSource } from './jinja-template.js'
import { type RenderedChat, type RenderOptions, TurnScorer } from './scored-turns.js'

export type { RenderedChat, RenderOptions } from './scored-turns.js'

/** A chat template: the text that a model family puts around the turns of a conversation. */
export interface ChatTemplate {
  /** The name of a built-in template, or the file that the template comes from. */
  name: string
  /** Its Jinja text. */
  source: string
  /** Throws TEMPLATE_FAILED, naming `place`. */
  render(turns: readonly Turn[], place: string, options?: RenderOptions): RenderedChat
  /** The text that a model is given to answer the turns, as one segment that is not scored. Throws TEMPLATE_FAILED. */
  prompt(turns: readonly Turn[], place: string, options?: RenderOptions): RenderedChat
  /** The token that ends an assistant turn, as text; undefined where the template writes none, or refuses a plain conversation. */
  endOfTurn(): string | undefined
  /** Tokens that begin an assistant turn, as text; none where the template refuses a plain conversation. */
  openings(): string[]
}

/**
 * Loads a chat template: a built-in one by LLaMA-Factory's name, one of the named templates of `tokenizer_config.json` for another
 * name, and the folder's own where `name` is undefined (`chat_template.jinja` before `chat_template.json`
 * before `tokenizer_config.json`, whose `tool_use` is for conversations with definitions of tools, as in Transformers).
 *
 * Throws TEMPLATE_NOT_FOUND, and TEMPLATE_FAILED for a template that does not parse or does not suit the tokenizer.
 */
export async function loadChatTemplate(
  folder: string,
  name: string | undefined,
  specialTokens: Record<string, string>,
): Promise<ChatTemplate> {
  const tokenizerConfig = (await readJsonObject(join(folder, 'tokenizer_config.json'))) ?? {}
  const addedTokens = await addedTokensOf(folder, tokenizerConfig)
  const markers = [...new Set([...addedTokens, ...Object.values(specialTokens)])].filter((token) => token !== '')
  const builtIn = name !== undefined && Object.hasOwn(builtInTemplates, name) ? builtInTemplates[name] : undefined
  if (name !== undefined && builtIn !== undefined) {
    checkTokens(folder, name, builtIn, { addedTokens, specialTokens })
    const variables = { bos_token: '', eos_token: '', ...specialTokens }
    return compile(folder, { name, source: builtIn.source }, variables, [...builtIn.markers, ...markers])
  }
  return compile(folder, await findTemplate(folder, name, tokenizerConfig), specialTokens, markers)
}

/** Throws TEMPLATE_FAILED where the tokenizer lacks a token that a built-in template writes. */
function checkTokens(
  folder: string,
  name: string,
  { source, markers }: BuiltInTemplate,
  { addedTokens, specialTokens }: { addedTokens: readonly string[]; specialTokens: Record<string, string> },
): void {
  const missing = markers.find((token) => addedTokens.length > 0 && !addedTokens.includes(token))
  const needsEnd = source.includes('eos_token') && (specialTokens.eos_token ?? '') === ''
  if (missing === undefined && !needsEnd) return
  const token = missing ?? 'eos_token'
  throw new DataError(
    'TEMPLATE_FAILED',
    `expected the tokenizer in ${folder} to have the token ${token} that template: ${name} writes, but it has none. ` +
      "Leave template out to use the model's own.",
    { folder, token },
  )
}

async function findTemplate(folder: string, name: string | undefined, config: Record<string, unknown>): Promise<TemplateSource> {
  const named = namedTemplates(config.chat_template)
  if (name !== undefined) {
    const source = named.get(name)
    if (source !== undefined) return { name: `${name} of tokenizer_config.json`, source }
    throw new DataError(
      'TEMPLATE_NOT_FOUND',
      `expected template to be ${[...Object.keys(builtInTemplates), ...named.keys()].join(' or ')} but received ${name}. ` +
        "Leave template out to use the model's own.",
      { template: name, folder },
    )
  }
  const file = await readFile(join(folder, 'chat_template.jinja'), 'utf8').catch(() => undefined)
  if (file !== undefined) return { name: 'chat_template.jinja', source: file }
  const json = await readJsonObject(join(folder, 'chat_template.json'))
  if (typeof json?.chat_template === 'string') return { name: 'chat_template.json', source: json.chat_template }
  const source = typeof config.chat_template === 'string' ? config.chat_template : named.get('default')
  if (source !== undefined) return { name: 'tokenizer_config.json', source, toolSource: named.get('tool_use') }
  throw new DataError(
    'TEMPLATE_NOT_FOUND',
    `expected a chat template in ${folder} (chat_template.jinja, or chat_template in tokenizer_config.json) but found none. ` +
      `Set template: ${Object.keys(builtInTemplates).join(', ')}, whichever the model is to be taught, or add the file.`,
    { folder },
  )
}

function namedTemplates(value: unknown): Map<string, string> {
  const list: unknown[] = Array.isArray(value) ? value : []
  return new Map(
    list
      .map((entry) => entry as { name?: unknown; template?: unknown } | null)
      .filter((entry) => typeof entry?.name === 'string' && typeof entry.template === 'string')
      .map((entry) => [entry!.name as string, entry!.template as string]),
  )
}

/** Every token that the tokenizer keeps whole: an end of turn is one of them, and not always the one named `eos_token`. */
async function addedTokensOf(folder: string, tokenizerConfig: Record<string, unknown>): Promise<string[]> {
  const decoder = tokenizerConfig.added_tokens_decoder
  const fromConfig = typeof decoder === 'object' && decoder !== null ? Object.values(decoder) : []
  const listed = fromConfig.length > 0 ? fromConfig : (await readJsonObject(join(folder, 'tokenizer.json')))?.added_tokens
  return (Array.isArray(listed) ? listed : []).map((token) => token?.content).filter((token) => typeof token === 'string')
}

function compile(
  folder: string,
  template: TemplateSource,
  specialTokens: Record<string, string>,
  markers: string[],
): ChatTemplate {
  const { bos_token: bos, eos_token: eos } = specialTokens
  const endMarkers = bos === eos ? markers : markers.filter((marker) => marker !== bos)
  const scorerOf = (source: TemplateSource) =>
    new TurnScorer(compileTemplate(folder, source, specialTokens), source.source, endMarkers)
  const { name, source, toolSource } = template
  const scorer = scorerOf(template)
  let toolScorer: TurnScorer | undefined
  const scorerFor = ({ tools }: RenderOptions) => {
    if (tools === undefined || toolSource === undefined) return scorer
    toolScorer ??= scorerOf({ name: `tool_use of ${name}`, source: toolSource })
    return toolScorer
  }
  return {
    name,
    source,
    render: (turns, place, options = {}) => scorerFor(options).render(turns, place, options),
    prompt: (turns, place, options = {}) => scorerFor(options).prompt(turns, place, options),
    endOfTurn: () => unlessRefused(() => scorer.endOfTurn()),
    openings: () => unlessRefused(() => scorer.openings()) ?? [],
  }
}

function unlessRefused<T>(ask: () => T): T | undefined {
  try {
    return ask()
  } catch (error) {
    if (!(error instanceof DataError)) throw error
    return undefined
  }
}
