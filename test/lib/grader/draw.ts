/** Random numbers that a seed says, for answers and their writings. */
export class Draw {
  constructor(private state: number) {}

  /** From 0 up to, not including, 1 (Mulberry32). */
  share(): number {
    this.state = (this.state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  whole(from: number, to: number): number {
    return from + Math.floor(this.share() * (to - from + 1))
  }

  one<T>(of: readonly T[]): T {
    return of[this.whole(0, of.length - 1)]!
  }
}
