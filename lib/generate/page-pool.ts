import { createHash } from 'node:crypto'

/** A page of the cache, which holds the keys and values of some consecutive tokens of one or several sequences. */
export interface Page {
  /** Its number in the cache. */
  readonly index: number
  /** Sequences that hold it. */
  holders: number
  /** What its tokens, and all before them, are known by; undefined where they are not to be found again. */
  prefix: string | undefined
  /** Whether the keys and values of all of its tokens are in it. */
  isReady: boolean
}

/** What a prompt begins with that is in the cache already. */
export interface KnownPrefix {
  pages: Page[]
  /** The page that comes next is being computed for another sequence: it is worth waiting for. */
  isNextPending: boolean
}

/**
 * The pages of the cache: which are free, and which hold the beginning of a prompt that others share. Pages that no sequence holds are
 * kept for the next prompt that begins so, and given away, the longest unused first, when no other page is free.
 */
export class PagePool {
  readonly #pages: Page[]
  readonly #free: Page[]
  /** Pages by their prefix. */
  readonly #known = new Map<string, Page>()
  /** Known pages that nobody holds, the longest unused first. */
  readonly #unused = new Set<Page>()

  constructor(
    pages: number,
    readonly pageSize: number,
  ) {
    this.#pages = Array.from({ length: pages }, (_, index) => ({ index, holders: 0, prefix: undefined, isReady: false }))
    this.#free = [...this.#pages].reverse()
  }

  get size(): number {
    return this.#pages.length
  }

  /** Pages that can be taken. */
  get available(): number {
    return this.#free.length + this.#unused.size
  }

  /** The pages, held now, of the longest beginning of a prompt that is known, its last token left out: that one must be computed. */
  holdKnown(prompt: readonly number[]): KnownPrefix {
    const pages: Page[] = []
    let prefix = ''
    for (let end = this.pageSize; end < prompt.length; end += this.pageSize) {
      prefix = this.#prefixOf(prefix, prompt, end)
      const page = this.#known.get(prefix)
      if (page === undefined) break
      if (!page.isReady) return { pages, isNextPending: true }
      page.holders += 1
      this.#unused.delete(page)
      pages.push(page)
    }
    return { pages, isNextPending: false }
  }

  /** A page that nobody else holds; undefined where there is none. */
  take(): Page | undefined {
    const page = this.#free.pop() ?? this.#oldestUnused()
    if (page !== undefined) page.holders = 1
    return page
  }

  /**
   * Says that pages, the first of which are those of `holdKnown`, will hold a prompt: those that are full of it can be shared as soon as
   * {@link markReady} says so.
   */
  announce(prompt: readonly number[], pages: readonly Page[]): void {
    let prefix = ''
    for (const [index, page] of pages.entries()) {
      const end = (index + 1) * this.pageSize
      if (end > prompt.length) return
      prefix = this.#prefixOf(prefix, prompt, end)
      if (page.prefix !== undefined || this.#known.has(prefix)) continue
      page.prefix = prefix
      this.#known.set(prefix, page)
    }
  }

  /** The first `tokens` tokens of the sequence that has these pages are in the cache. */
  markReady(pages: readonly Page[], tokens: number): void {
    for (let index = Math.floor(tokens / this.pageSize) - 1; index >= 0 && !pages[index]!.isReady; index--)
      pages[index]!.isReady = true
  }

  /** Gives pages back. */
  release(pages: readonly Page[]): void {
    // The last ones first: of a prefix that is being forgotten the beginning is of most use.
    for (const page of [...pages].reverse()) {
      page.holders -= 1
      if (page.holders > 0) continue
      if (page.prefix !== undefined && page.isReady) this.#unused.add(page)
      else this.#forget(page)
    }
  }

  /** Forgets what was computed: with other weights it would be something else. No sequence may hold a page. */
  forgetAll(): void {
    for (const page of this.#unused) this.#forget(page)
    this.#unused.clear()
  }

  #oldestUnused(): Page | undefined {
    const [page] = this.#unused
    if (page === undefined) return undefined
    this.#unused.delete(page)
    this.#forget(page)
    return this.#free.pop()
  }

  #forget(page: Page): void {
    if (page.prefix !== undefined) this.#known.delete(page.prefix)
    page.prefix = undefined
    page.isReady = false
    this.#free.push(page)
  }

  /** Known by what comes before and its own tokens: no two that differ have the same digest. */
  #prefixOf(before: string, prompt: readonly number[], end: number): string {
    const tokens = Int32Array.from(prompt.slice(end - this.pageSize, end))
    return createHash('sha256').update(before).update(tokens).digest('base64')
  }
}
