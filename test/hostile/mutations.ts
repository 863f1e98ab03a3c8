import type { Draw } from '../lib/grader/draw.js'

const hostileValues: readonly (() => unknown)[] = [
  ...[0, -1, 1, 3, 100_000, 1_000_000_000, 2 ** 31, 2 ** 32, 2 ** 53, 1e15, 1e308, -1e308, 0.5, 1e-300].map(
    (value) => () => value,
  ),
  ...['', 'x', '\0', '../../x', '__proto__', 'constructor', '\ud800', '{{ 1 }}', '%s'.repeat(1000), '('.repeat(2000)].map(
    (value) => () => value,
  ),
  () => null,
  () => true,
  () => [],
  () => ({}),
  () => Array.from({ length: 10_000 }, (_, index) => index),
  () => Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`key ${index}`, index])),
  () => nested(2000),
]

function nested(depth: number): unknown {
  let value: unknown = 1
  for (let level = 0; level < depth; level += 1) value = level % 2 === 0 ? [value] : { a: value }
  return value
}

/** Every place in a JSON value, as the container and the key in it. */
function placesIn(value: unknown, places: [container: Record<string, unknown>, key: string][] = []): typeof places {
  if (typeof value !== 'object' || value === null) return places
  for (const [key, inner] of Object.entries(value)) {
    places.push([value as Record<string, unknown>, key])
    if (places.length < 3000) placesIn(inner, places)
  }
  return places
}

/** A JSON text with some of its values replaced, removed, doubled or swapped. */
export function mutatedJson(draw: Draw, text: string): string {
  const value: unknown = JSON.parse(text)
  for (let times = draw.whole(1, 3); times > 0; times -= 1) {
    const places = placesIn(value)
    if (places.length === 0) break
    // The first places are those of the outermost keys.
    const [container, key] = places[draw.whole(0, draw.one([Math.min(20, places.length), places.length]) - 1)]!
    const [other, otherKey] = draw.one(places)
    switch (draw.whole(0, 5)) {
      case 0:
        delete container[key]
        break
      case 1:
        container[key] = structuredClone(other[otherKey])
        break
      case 2:
        container[`${key}${draw.one(['', '_2', '\0'])}`] = draw.one(hostileValues)()
        break
      default:
        container[key] = draw.one(hostileValues)()
    }
  }
  return JSON.stringify(value)
}

/** Bytes with some of them flipped, removed, repeated, overwritten by large numbers, or cut off. */
export function mutatedBytes(draw: Draw, bytes: Uint8Array): Uint8Array {
  let mutated = Buffer.from(bytes)
  for (let times = draw.whole(1, 4); times > 0 && mutated.length > 0; times -= 1) {
    // Headers and footers say how long everything is.
    const edge = Math.min(64, mutated.length)
    const at = draw.one([draw.whole(0, mutated.length - 1), draw.whole(0, edge - 1), mutated.length - draw.whole(1, edge)])
    const length = Math.min(draw.whole(1, 16), mutated.length - at)
    switch (draw.whole(0, 5)) {
      case 0:
        mutated = mutated.subarray(0, at)
        break
      case 1:
        mutated = Buffer.concat([mutated.subarray(0, at), mutated.subarray(at + length)])
        break
      case 2:
        mutated = Buffer.concat([mutated.subarray(0, at + length), mutated.subarray(at)])
        break
      case 3:
        mutated = Buffer.from(mutated)
        mutated.fill(draw.one([0x00, 0x7f, 0x80, 0xff]), at, at + length)
        break
      default:
        mutated = Buffer.from(mutated)
        mutated[at] = mutated[at]! ^ (1 << draw.whole(0, 7))
    }
  }
  return mutated
}
