import { basename } from 'node:path'
import type { Example } from './example.js'
import type { TrainingRecord } from './records.js'
import type { AddedText } from './template/added-text.js'

/** What a reader should know of all rows of a file together, as plain data for workers and the cache. */
export interface FileNotes {
  /** Columns, and keys of turns as `messages[].name`, that have something in them and that nobody reads. */
  unread: string[]
  /** Texts that the template puts into turns and that are scored. */
  added: AddedText[]
}

/** Names and texts that are remembered: rows may have keys of their own each. */
const MOST_UNREAD = 100
const MOST_ADDED = 4
/** Names that are shown. */
const SHOWN = 12

/** Collects the notes of rows, or of batches of them. */
export class NoteCollector {
  readonly #unread = new Set<string>()
  readonly #added = new Map<string, AddedText>()

  addRow({ unread = [] }: TrainingRecord, { added }: Example): void {
    this.add({ unread, added: added === undefined ? [] : [added] })
  }

  add({ unread, added }: FileNotes): void {
    for (const name of unread) if (this.#unread.size < MOST_UNREAD) this.#unread.add(name)
    for (const one of added) if (this.#added.size < MOST_ADDED) this.#added.set(`${one.side} ${one.text}`, one)
  }

  get notes(): FileNotes {
    return { unread: [...this.#unread], added: [...this.#added.values()] }
  }
}

export type FileNoteKind = 'UNREAD_COLUMNS' | 'TEMPLATE_ADDS'

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

function templateAdds({ text, side }: AddedText): string {
  const isThought = /^\s*(<think>\s*)?<\/think>\s*$/.test(text)
  const remedy = isThought
    ? 'The model learns to answer without a thought. Give the thoughts (reasoning_content, or <think> … </think> in the text), or set ' +
      'enable_thinking: false, with which templates that know it have this in the prompt.'
    : 'Change the template if the model is not to write it.'
  return `the chat template writes ${JSON.stringify(text)} ${side} responses, and it is scored. ${remedy}`
}
