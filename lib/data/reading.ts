import type { Column } from './row-columns.js'
import type { RowPlace } from './rows/row.js'
import { hasContent, type Row } from './rows/row-fields.js'

/** A row, and which of its columns have been read. */
export class Reading {
  readonly read = new Set<string>()
  readonly unreadKeys = new Set<string>()

  constructor(
    readonly row: Row,
    readonly place: RowPlace,
  ) {}

  /** Marks a column as read. */
  take(column: Column | undefined): Column | undefined {
    if (column !== undefined) this.read.add(column.name)
    return column
  }

  /** Names of columns, and `messages[].name` for keys of turns, that have something in them and that nobody has read. */
  unread(): string[] {
    const columns = Object.keys(this.row).filter((name) => !this.read.has(name) && hasContent(this.row[name]))
    return [...columns, ...this.unreadKeys]
  }
}
