/** A score for each row, 8 bytes each. */
export class Scores {
  private values = new Float64Array(1 << 12)
  private count = 0

  add(score: number): void {
    if (this.count === this.values.length) {
      const grown = new Float64Array(2 * this.values.length)
      grown.set(this.values)
      this.values = grown
    }
    this.values[this.count++] = score
  }

  of(row: number): number {
    return this.values[row]!
  }
}
