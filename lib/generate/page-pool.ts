import { createHash } from 'node:crypto'

/** A page of the cache, which holds the keys and values of some consecutive tokens of one or several sequences. */
export interface Page {
  /** Its number in the cache. */
  readonly index: number
  /** Sequences that hold it. */
  holders: number
  /** Digest of its tokens and of all before them; undefined where the page is not shared. */
  prefix: string | undefined
  /** Whether the keys and values of all of its tokens are in it. */
  isReady: boolean
}

/** The cached prefix of a prompt. */
export interface KnownPrefix {
  pages: Page[]
  /** The next page is being computed for another sequence: waiting for it is cheaper than computing it again. */
  isNextPending: boolean
}

/**
 * The pages of the cache, with prefix sharing. A page that no sequence holds stays cached for the next prompt with the same
 * prefix; when no page is free, the least recently used one is evicted.
 */
export class PagePool {
  readonly #pages: Page[]
  readonly #free: Page[]
  /** Pages by their prefix. */
  readonly #known = new Map<string, Page>()
  /** Cached pages that no sequence holds, least recently used first. */
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

  /** Takes hold of the pages of a prompt's longest cached prefix, without its last token, which must be computed. */
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
   * Registers the pages that will hold a prompt, `holdKnown`'s first: pages full of the prompt can be shared once {@link
   * markReady} has marked them.
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
    // Last pages first: they are evicted first, and the beginning of a prefix is the most useful part.
    for (const page of [...pages].reverse()) {
      page.holders -= 1
      if (page.holders > 0) continue
      if (page.prefix !== undefined && page.isReady) this.#unused.add(page)
      else this.#forget(page)
    }
  }

  /** Empties the cache, because the weights change. No sequence may hold a page. */
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

  /** Chained digest of the pages before and this page's tokens; SHA-256, so no two that differ share it. */
  #prefixOf(before: string, prompt: readonly number[], end: number): string {
    const tokens = Int32Array.from(prompt.slice(end - this.pageSize, end))
    return createHash('sha256').update(before).update(tokens).digest('base64')
  }
}
