import type { Rational } from '../answer/rational.js'
import type { Arithmetic } from './evaluate.js'

/** The largest prime below 2⁶¹ that leaves 1 modulo 4: −1 has a square root. */
const PRIME = 2305843009213693921n

/**
 * Numbers modulo a prime of 61 bits, with a random one for each name. Two rational functions that agree at a random point are the
 * same but for a chance of degree / 2⁶¹, and those that do not are not (Schwartz and Zippel): no rounding, no size.
 */
export function primeField(drawn: (name: string) => bigint): Arithmetic<bigint> {
  return {
    number: ({ top, bottom }: Rational) => divided(modulo(top), modulo(bottom)),
    name: (name) => (name === 'i' ? squareRootOfMinusOne : name === '∞' || name === '…' ? undefined : modulo(drawn(name))),
    powerOf: () => undefined,
    power: (base, exponent) => {
      if (exponent.bottom !== 1n) return undefined
      if (exponent.top >= 0n) return raised(base, exponent.top)
      return divided(1n, raised(base, -exponent.top))
    },
    call: (name, of) => {
      switch (name) {
        case '+':
          return of.reduce((sum, value) => modulo(sum + value))
        case '*':
          return of.reduce((product, value) => modulo(product * value))
        case '/':
          return of
            .slice(1)
            .reduce<bigint | undefined>((rest, value) => (rest === undefined ? rest : divided(rest, value)), of[0])
        case 'negate':
          return modulo(-of[0]!)
        case '%':
          return divided(of[0]!, 100n)
        default:
          return name.startsWith('apply ') ? modulo(drawn(`${name} ${of.join(' ')}`)) : undefined
      }
    },
  }
}

function modulo(value: bigint): bigint {
  const rest = value % PRIME
  return rest < 0n ? rest + PRIME : rest
}

function raised(base: bigint, exponent: bigint): bigint {
  let [power, square] = [1n, base]
  // Fermat: exponents count modulo the prime less one.
  for (let left = base === 0n ? (exponent === 0n ? 0n : 1n) : exponent % (PRIME - 1n); left > 0n; left >>= 1n) {
    if ((left & 1n) === 1n) power = modulo(power * square)
    square = modulo(square * square)
  }
  return power
}

function divided(top: bigint, bottom: bigint): bigint | undefined {
  return bottom === 0n ? undefined : modulo(top * raised(bottom, PRIME - 2n))
}

const squareRootOfMinusOne = findSquareRootOfMinusOne()

function findSquareRootOfMinusOne(): bigint {
  for (let base = 2n; ; base += 1n) {
    const root = raised(base, (PRIME - 1n) / 4n)
    if (modulo(root * root) === PRIME - 1n) return root
  }
}
