const maxEntries = 2 ** 16
const maxUnits = 2 ** 20
const maxIds = 2 ** 18

/**
 * The ids of the pre-tokens seen so far. A text is compared where it stands, so that looking one up makes no string; what is
 * kept is copied into arrays of fixed size (4 MB in all), and forgotten when they are full.
 */
export class PreTokenCache {
  /** A longer pre-token is rarely met twice. In UTF-16 units. */
  static readonly longest = 64

  /** Entry + 1 by hash; 0 where there is none. */
  readonly #slots = new Int32Array(2 * maxEntries)
  readonly #units = new Uint16Array(maxUnits)
  readonly #ids = new Int32Array(maxIds)
  /** [entries + 1] */
  readonly #unitStarts = new Int32Array(maxEntries + 1)
  readonly #idStarts = new Int32Array(maxEntries + 1)
  #entries = 0

  /** Appends the ids of the pre-token at `start` to `out`; false where they are not known. */
  lookUp(text: string, start: number, end: number, out: number[]): boolean {
    const mask = this.#slots.length - 1
    for (let slot = hashOf(text, start, end) & mask; ; slot = (slot + 1) & mask) {
      const entry = this.#slots[slot]! - 1
      if (entry < 0) return false
      if (!this.#equals(entry, text, start, end)) continue
      const idsEnd = this.#idStarts[entry + 1]!
      for (let at = this.#idStarts[entry]!; at < idsEnd; at++) out.push(this.#ids[at]!)
      return true
    }
  }

  /** Keeps the ids of a pre-token that `lookUp` does not know: those of `out` from `from` on. */
  add(text: string, start: number, end: number, out: readonly number[], from: number): void {
    const isFull =
      this.#entries === maxEntries ||
      this.#unitStarts[this.#entries]! + (end - start) > maxUnits ||
      this.#idStarts[this.#entries]! + (out.length - from) > maxIds
    if (isFull) {
      this.#slots.fill(0)
      this.#entries = 0
    }
    const entry = this.#entries++
    let unitsEnd = this.#unitStarts[entry]!
    for (let at = start; at < end; at++) this.#units[unitsEnd++] = text.charCodeAt(at)
    let idsEnd = this.#idStarts[entry]!
    for (let at = from; at < out.length; at++) this.#ids[idsEnd++] = out[at]!
    this.#unitStarts[entry + 1] = unitsEnd
    this.#idStarts[entry + 1] = idsEnd
    const mask = this.#slots.length - 1
    let slot = hashOf(text, start, end) & mask
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask
    this.#slots[slot] = entry + 1
  }

  #equals(entry: number, text: string, start: number, end: number): boolean {
    const from = this.#unitStarts[entry]!
    if (this.#unitStarts[entry + 1]! - from !== end - start) return false
    for (let at = start; at < end; at++) if (this.#units[from + at - start] !== text.charCodeAt(at)) return false
    return true
  }
}

/** FNV-1a, its high bits mixed into the low ones that choose the slot. */
function hashOf(text: string, start: number, end: number): number {
  let hash = 0x811c9dc5
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return hash ^ (hash >>> 15)
}
