/** out[t] = table[ids[t]] */
export function embed(table: ArrayLike<number>, ids: ArrayLike<number>, columns: number): number[] {
  return Array.from({ length: ids.length * columns }, (_, i) => table[ids[Math.floor(i / columns)]! * columns + (i % columns)]!)
}

/** d_table[ids[t]] += d_out[t] in the order of t, every sum rounded to float32 when `round` says so. */
export function embedBackward(
  start: ArrayLike<number>,
  dOut: ArrayLike<number>,
  ids: ArrayLike<number>,
  columns: number,
  round = Math.fround,
): number[] {
  const dTable = Array.from(start)
  for (let i = 0; i < dOut.length; i++) {
    const to = ids[Math.floor(i / columns)]! * columns + (i % columns)
    dTable[to] = round(dTable[to]! + dOut[i]!)
  }
  return dTable
}
