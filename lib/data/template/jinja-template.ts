import { parse, tokenize } from '@huggingface/jinja'
import type { JsonObject } from '../../config/json-object.js'
import { DataError } from '../../errors.js'
import { refuseChainedComparisons } from './chained-comparisons.js'
import { Scope } from './jinja-values.js'
import { PythonInterpreter } from './python-interpreter.js'
import { templateFailed } from './template-failed.js'
import type { TemplateMessage } from './template-messages.js'

export interface TemplateSource {
  /** The name of a built-in template, or the file that it comes from. */
  name: string
  source: string
  /** Another text for conversations with definitions of tools: the template that is named tool_use. */
  toolSource?: string | undefined
}

/** Variables of a template beside the conversation. */
export interface RenderVariables {
  add_generation_prompt: boolean
  enable_thinking?: boolean
  tools?: readonly JsonObject[]
  keep_thoughts?: boolean
}

/** Throws TEMPLATE_FAILED, naming `place`, where the template does. */
export type RenderTemplate = (messages: readonly TemplateMessage[], variables: RenderVariables, place: string) => string

/** Bound on `range` while one conversation is rendered: more than any conversation needs, and done in a second. */
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

/** The default of Llama 3's templates. With today's date no run could be repeated, and none would be the day after. */
const fixedDate = '26 Jul 2024'
const fixedDateParts: Readonly<Record<string, string>> = {
  '%Y': '2024',
  '%y': '24',
  '%m': '07',
  '%d': '26',
  '%b': 'Jul',
  '%B': 'July',
  '%a': 'Fri',
  '%A': 'Friday',
  '%j': '208',
  '%H': '00',
  '%I': '12',
  '%M': '00',
  '%S': '00',
  '%p': 'AM',
  '%F': '2024-07-26',
  '%T': '00:00:00',
  '%%': '%',
}

function formatFixedDate(format: string): string {
  return format.replace(/%./gs, (directive) => {
    const part = Object.hasOwn(fixedDateParts, directive) ? fixedDateParts[directive] : undefined
    if (part === undefined) throw new Error(`strftime_now() with ${directive}, which is not known here`)
    return part
  })
}

/** Names that a template has without being given them. */
const ownVariables = {
  ...{ true: true, True: true, false: false, False: false, none: null, None: null },
  tools: null,
  documents: null,
  date_string: fixedDate,
  strftime_now: formatFixedDate,
  raise_exception: (message: unknown) => {
    throw new Error(String(message))
  },
}

/** Throws TEMPLATE_FAILED for a template that does not parse. */
export function compileTemplate(
  folder: string,
  { name, source }: TemplateSource,
  specialTokens: Record<string, string>,
): RenderTemplate {
  let program: ReturnType<typeof parse>
  try {
    // Jinja reads every kind of line break as one: files that were saved on Windows are the same templates.
    const tokens = tokenize(source.replace(/\r\n?/g, '\n'), { lstrip_blocks: true, trim_blocks: true })
    refuseChainedComparisons(tokens)
    program = parse(tokens)
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
  const constants = { ...ownVariables, ...specialTokens }
  return (messages, variables, place) => {
    try {
      const scope = new Scope()
      const all = { ...constants, ...variables, range: boundedRange(), messages }
      for (const [name, value] of Object.entries(all)) scope.set(name, value)
      return new PythonInterpreter(scope).run(program).value as string
    } catch (cause) {
      throw templateFailed(place, `the chat template (${name}) refused it: ${(cause as Error).message}`, cause)
    }
  }
}
