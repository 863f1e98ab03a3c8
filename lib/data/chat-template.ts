import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Template } from '@huggingface/jinja'
import { DataError } from '../errors.js'
import type { Turn } from './records.js'
import { readJsonObject } from './tokenizer.js'

/** A conversation as the model sees it. The texts of the segments, one after another, are `text`. */
export interface RenderedChat {
  text: string
  segments: { text: string; scored: boolean }[]
}

/** What a model family writes around the turns of a conversation. */
export interface ChatTemplate {
  /** `qwen`, or the file that the template comes from. */
  name: string
  /** Throws TEMPLATE_FAILED, naming `place`. */
  render(turns: Turn[], place: string): RenderedChat
}

interface TemplateSource {
  name: string
  source: string
}

/** The built-in `template: qwen`: ChatML with the default system prompt and tool results of Qwen2.5. */
const qwenTemplate = `
{%- if messages[0].role != 'system' -%}
  {{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n' -}}
{%- endif -%}
{%- for message in messages -%}
  {%- if message.role == 'tool' -%}
    {%- if loop.first or messages[loop.index0 - 1].role != 'tool' -%}{{- '<|im_start|>user' -}}{%- endif -%}
    {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' -}}
    {%- if loop.last or messages[loop.index0 + 1].role != 'tool' -%}{{- '<|im_end|>\\n' -}}{%- endif -%}
  {%- else -%}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}`

const qwenMarkers = ['<|im_start|>', '<|im_end|>']

/**
 * Loads a chat template: the built-in one where `name` is `qwen`, one of the named templates of `tokenizer_config.json`
 * for another name, and the folder's own where `name` is undefined (`chat_template.jinja` before `chat_template.json`
 * before `tokenizer_config.json`).
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
  if (name === 'qwen') {
    const missing = qwenMarkers.find((token) => addedTokens.length > 0 && !addedTokens.includes(token))
    if (missing !== undefined) {
      throw new DataError(
        'TEMPLATE_FAILED',
        `expected the tokenizer in ${folder} to have the token ${missing} that template: qwen writes, but it has none. ` +
          "Leave template out to use the model's own.",
        { folder, token: missing },
      )
    }
    return compile(folder, { name, source: qwenTemplate }, specialTokens, [...qwenMarkers, ...markers])
  }
  return compile(folder, await findTemplate(folder, name, tokenizerConfig), specialTokens, markers)
}

async function findTemplate(folder: string, name: string | undefined, config: Record<string, unknown>): Promise<TemplateSource> {
  const named = namedTemplates(config.chat_template)
  if (name !== undefined) {
    const source = named.get(name)
    if (source !== undefined) return { name: `${name} of tokenizer_config.json`, source }
    throw new DataError(
      'TEMPLATE_NOT_FOUND',
      `expected template to be ${['qwen', ...named.keys()].join(' or ')} but received ${name}. ` +
        "Leave template out to use the model's own.",
      { template: name, folder },
    )
  }
  const file = await readFile(join(folder, 'chat_template.jinja'), 'utf8').catch(() => undefined)
  if (file !== undefined) return { name: 'chat_template.jinja', source: file }
  const json = await readJsonObject(join(folder, 'chat_template.json'))
  if (typeof json?.chat_template === 'string') return { name: 'chat_template.json', source: json.chat_template }
  const source = typeof config.chat_template === 'string' ? config.chat_template : named.get('default')
  if (source !== undefined) return { name: 'tokenizer_config.json', source }
  throw new DataError(
    'TEMPLATE_NOT_FOUND',
    `expected a chat template in ${folder} (chat_template.jinja, or chat_template in tokenizer_config.json) but found none. ` +
      'Set template: qwen, or add the file.',
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

/** What a template may loop over while it renders one conversation: more than any conversation has, and done in a second. */
const MAX_RANGE = 1e6

/** Jinja's range, but a template that asks for more than MAX_RANGE numbers in all fails instead of taking all memory. */
function boundedRange(): (from: number, to?: number, by?: number) => number[] {
  let asked = 0
  return (from, to, by) => {
    const [start, stop, step] = [to === undefined ? 0 : from, to ?? from, by ?? 1]
    if (step === 0) throw new Error('range() with a step of 0')
    const length = Math.max(0, Math.ceil((stop - start) / step))
    asked += length
    if (asked > MAX_RANGE) throw new Error(`it loops over more than ${MAX_RANGE} numbers`)
    return Array.from({ length }, (_, index) => start + index * step)
  }
}

/** The library lets no variable take the name of a function of its own; a template may. Trimming takes the line break. */
const withBoundedRange = (source: string) => `{% set range = limo_range %}\n${source}`

function compile(
  folder: string,
  { name, source }: TemplateSource,
  specialTokens: Record<string, string>,
  markers: string[],
): ChatTemplate {
  let template: Template
  try {
    template = new Template(withBoundedRange(source))
  } catch (cause) {
    // A TypeError is the parser running past the end: its words are about the parser.
    const why = cause instanceof TypeError ? 'a statement is not closed' : (cause as Error).message
    throw new DataError(
      'TEMPLATE_FAILED',
      `the chat template (${name}, in ${folder}) is malformed: expected Jinja but ${why}. Mend it, or name another with template.`,
      { folder, name },
      { cause },
    )
  }
  const variables = {
    ...specialTokens,
    tools: null,
    documents: null,
    // Llama 3's own default. Its newer templates take today's date instead, with which no run could be repeated.
    date_string: '26 Jul 2024',
  }
  return {
    name,
    render: (turns, place) => {
      const run: RunTemplate = (messages, addGenerationPrompt) => {
        try {
          return template.render({
            ...variables,
            limo_range: boundedRange(),
            messages,
            add_generation_prompt: addGenerationPrompt,
          })
        } catch (cause) {
          throw templateFailed(place, `the chat template (${name}) refused it: ${(cause as Error).message}`, cause)
        }
      }
      return scoreAssistantTurns(turns, { run, markers, place })
    },
  }
}

type RunTemplate = (messages: Turn[], addGenerationPrompt: boolean) => string

interface Renderer {
  run: RunTemplate
  markers: string[]
  place: string
}

/**
 * Renders a conversation and marks what the model has to write itself: the text of every assistant turn and its
 * end-of-turn token.
 *
 *     <|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n2<|im_end|>\n
 *     └────────────────────── prompt ────────────────────────┘└─ scored ─┘
 *
 * The prompt of a turn is what the template gives at inference, for the turns before it with `add_generation_prompt`.
 * The turn has to follow it unchanged, or the model would be trained on another context than it meets later.
 * A template with no end-of-turn token has none to score: tokens are never added to what a template writes.
 */
function scoreAssistantTurns(turns: Turn[], renderer: Renderer): RenderedChat {
  const text = renderer.run(turns, false)
  const segments: RenderedChat['segments'] = []
  let written = 0
  for (const [index, turn] of turns.entries()) {
    if (turn.role !== 'assistant') continue
    const isLast = index === turns.length - 1
    const through = isLast ? text : renderer.run(turns.slice(0, index + 1), false)
    const { start, end } = findScoredSpan(through, turns.slice(0, index), turn, renderer)
    expectPrefix(text, through.slice(0, end), renderer.place, {
      what: `turn ${index + 1} otherwise when turns follow it`,
      remedy: 'Make it one record for each assistant turn that is to be learnt, or change the template',
    })
    segments.push({ text: text.slice(written, start), scored: false }, { text: text.slice(start, end), scored: true })
    written = end
  }
  if (written < text.length) segments.push({ text: text.slice(written), scored: false })
  return { text, segments }
}

/** A text that no template looks at: rendered in place of a turn's own, it shows what the template writes around it. */
const probe = 'limo-native-probe'

function findScoredSpan(through: string, before: Turn[], turn: Turn, renderer: Renderer): { start: number; end: number } {
  const { run, markers, place } = renderer
  const prompt = run(before, true)
  expectPrefix(through, prompt, place, {
    what: `turn ${before.length + 1} unlike its generation prompt begins`,
    remedy: 'Change the template so that add_generation_prompt writes the beginning of the turn, or set another one',
  })

  const probed = run([...before, { role: 'assistant', content: probe }], false)
  const probeStart = probed.lastIndexOf(probe)
  const after = probed.slice(probeStart + probe.length)
  const body = through.slice(prompt.length, through.length - after.length)
  // templates trim texts and set their own line breaks, so white space is left out of the comparison
  if (probeStart < 0 || !through.endsWith(after) || !withoutSpace(body).endsWith(withoutSpace(turn.content))) {
    throw templateFailed(
      place,
      `the chat template does not write all text of turn ${before.length + 1} (assistant). ` +
        'Change the template, or the text that it takes apart (a template may treat <think> … </think> specially)',
    )
  }
  const contentEnd = prompt.length + body.length
  const markerEnds = markers.filter((marker) => after.includes(marker)).map((marker) => after.indexOf(marker) + marker.length)
  const end = contentEnd + (markerEnds.length === 0 ? 0 : Math.min(...markerEnds))

  // A template that knows no add_generation_prompt leaves the header of the turn to be skipped here.
  const header = probed.startsWith(prompt) ? probed.slice(prompt.length, probeStart) : ''
  const hasHeader = header.trim() !== '' && body.startsWith(header) && run(before, false) === prompt
  return { start: prompt.length + (hasHeader ? header.length : 0), end }
}

function withoutSpace(text: string): string {
  return text.replace(/\s+/g, '')
}

function expectPrefix(text: string, prefix: string, place: string, { what, remedy }: { what: string; remedy: string }): void {
  if (text.startsWith(prefix)) return
  let at = 0
  while (at < prefix.length && text[at] === prefix[at]) at += 1
  const excerpt = (from: string) => JSON.stringify(from.slice(Math.max(0, at - 20), at + 40))
  throw templateFailed(
    place,
    `the chat template renders ${what}: expected ${excerpt(prefix)} but received ${excerpt(text)}. ${remedy}`,
  )
}

function templateFailed(place: string, problem: string, cause?: unknown): DataError {
  return new DataError('TEMPLATE_FAILED', `${place}: ${problem}.`, { place }, { cause })
}
