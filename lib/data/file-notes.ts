import { basename } from 'node:path'
import type { Example } from './example.js'
import type { TrainingRecord } from './records.js'
import type { AddedText } from './template/added-text.js'
import type { TokenizationOptions } from './tokenization.js'

/** What a reader should know of all rows of a file together, as plain data for workers and the cache. */
export interface FileNotes {
  /** Columns, and keys of turns as `messages[].name`, that have something in them and that nobody reads. */
  unread: string[]
  /** Texts that the template puts into turns and that are scored. */
  added: AddedText[]
  /** Rows that say themselves that nothing of them is to be learnt, and are left out. */
  unlearnt: number
  /** Conversations whose system turn asks for `\\boxed{}`, and those of them whose response has none. */
  boxes: { asked: number; missing: number }
}

/** Names and texts that are remembered: rows may have keys of their own each. */
const MOST_UNREAD = 100
const MOST_ADDED = 4
/** Names that are shown. */
const SHOWN = 12

/** Collects the notes of rows, or of batches of them. */
export class NoteCollector {
  readonly #unread = new Set<string>()
  #unlearnt = 0
  readonly #boxes = { asked: 0, missing: 0 }
  readonly #added = new Map<string, AddedText>()

  addRow(record: TrainingRecord, { added }: Example, options: TokenizationOptions): void {
    const boxes = boxesOf(record, options)
    this.add({ unread: record.unread ?? [], added: added === undefined ? [] : [added], unlearnt: 0, boxes })
  }

  addUnlearnt(): void {
    this.#unlearnt += 1
  }

  add({ unread, added, unlearnt, boxes }: FileNotes): void {
    this.#unlearnt += unlearnt
    this.#boxes.asked += boxes.asked
    this.#boxes.missing += boxes.missing
    for (const name of unread) if (this.#unread.size < MOST_UNREAD) this.#unread.add(name)
    for (const one of added) if (this.#added.size < MOST_ADDED) this.#added.set(`${one.side} ${one.text}`, one)
  }

  get notes(): FileNotes {
    return { unread: [...this.#unread], added: [...this.#added.values()], unlearnt: this.#unlearnt, boxes: { ...this.#boxes } }
  }
}

/** Whether the system turn of a record asks for a box, and the response has none. */
function boxesOf(record: TrainingRecord, { defaultSystem = '' }: TokenizationOptions): FileNotes['boxes'] {
  if (record.kind === 'tokens') return { asked: 0, missing: 0 }
  const { turns } = record
  const { content, reasoning = '' } = turns.at(-1)!
  const system = turns[0]!.role === 'system' ? turns[0]!.content : defaultSystem
  const asked = system.includes('\\boxed')
  return { asked: Number(asked), missing: Number(asked && ![content, reasoning].some((text) => text.includes('\\boxed'))) }
}

export type FileNoteKind = 'UNREAD_COLUMNS' | 'TEMPLATE_ADDS' | 'NOT_LEARNT' | 'NO_BOX'

export interface FileNote {
  kind: FileNoteKind
  /** The first of them. */
  file: string
  message: string
}

/** The notes of files as messages: what is the same for several files, as for the shards of one data set, is said once. */
export function messagesOf(files: readonly { file: string; notes: FileNotes }[]): FileNote[] {
  const found = new Map<string, { kind: FileNoteKind; files: string[] }>()
  const add = (file: string, kind: FileNoteKind, text: string) => {
    const known = found.get(text)
    if (known === undefined) found.set(text, { kind, files: [file] })
    else known.files.push(file)
  }
  for (const { file, notes } of files) {
    if (notes.unread.length > 0) add(file, 'UNREAD_COLUMNS', unreadText(notes.unread))
    if (notes.unlearnt > 0) add(file, 'NOT_LEARNT', unlearntText(notes.unlearnt))
    if (notes.boxes.missing > 0) add(file, 'NO_BOX', boxesText(notes.boxes))
    for (const added of notes.added) add(file, 'TEMPLATE_ADDS', templateAdds(added))
  }
  return [...found].map(([text, { kind, files: named }]) => {
    const more = named.length === 1 ? '' : ` and ${named.length - 1} more ${named.length === 2 ? 'file' : 'files'}`
    return { kind, file: named[0]!, message: `${basename(named[0]!)}${more}: ${text}` }
  })
}

function unreadText(names: readonly string[]): string {
  const more = names.length > SHOWN ? `, and ${names.length === MOST_UNREAD ? 'many' : names.length - SHOWN} more` : ''
  return `columns that are not read: ${names.slice(0, SHOWN).join(', ')}${more}.`
}

function unlearntText(count: number): string {
  const rows = count === 1 ? '1 row is' : `${count} rows are`
  return `${rows} left out, for nothing of them is to be learnt, as they say themselves (weight, train or the like).`
}

function boxesText({ asked, missing }: FileNotes['boxes']): string {
  return (
    `${missing} of ${asked} responses have no \\boxed{}, which their system turn asks for and eval grades. Write the answers into it, or ` +
    'set default_system to what they do.'
  )
}

function templateAdds({ text, side }: AddedText): string {
  const isThought = /^\s*(<think>\s*)?<\/think>\s*$/.test(text)
  const remedy = isThought
    ? 'The model learns to answer without a thought. Give the thoughts (reasoning_content, or <think> … </think> in the text), or set ' +
      'enable_thinking: false, with which templates that know it have this in the prompt.'
    : 'Change the template if the model is not to write it.'
  return `the chat template writes ${JSON.stringify(text)} ${side} responses, and it is scored. ${remedy}`
}
