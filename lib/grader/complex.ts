import { type Rational, toDouble } from '../answer/rational.js'
import type { Arithmetic } from './evaluate.js'

/** A complex number of two doubles. */
export interface Complex {
  readonly re: number
  readonly im: number
}

/** Complex doubles, with `drawn` for the names that are no constants. Principal branches; odd roots of negative numbers are real. */
export function complexNumbers(drawn: (name: string) => number, logBase: number): Arithmetic<Complex> {
  const constants: Record<string, Complex> = { pi: real(Math.PI), e: real(Math.E), i: { re: 0, im: 1 } }
  return {
    number: (value) => (value.top === 0n ? real(0) : kept(toDouble(value))),
    name: (name) => {
      if (name === '∞' || name === '…' || name === '∅') return undefined
      return Object.hasOwn(constants, name) ? constants[name]! : real(drawn(name))
    },
    power: rationalPower,
    powerOf: raised,
    call: (name, of) => {
      if (name.startsWith('apply '))
        return real(drawn(`${name} ${of.map(({ re, im }) => `${short(re)},${short(im)}`).join(' ')}`))
      if (name === 'log') return times(logarithm(of[0]!), real(1 / Math.log(logBase)))
      return Object.hasOwn(functions, name) ? functions[name]!(...of) : undefined
    },
  }
}

/** Rounded, so that values that differ by rounding alone are the same argument of an unknown function. */
function short(value: number): string {
  return (Math.abs(value) < 1e-9 ? 0 : value).toPrecision(9)
}

/** Below it a double loses its digits, then itself: a value that underflowed is none. */
const LEAST = 1e-290

/** A value that is not 0, as a double; NaN where it is too small for one. */
function kept(re: number): Complex {
  return real(Math.abs(re) < LEAST ? Number.NaN : re)
}

function isNothing({ re, im }: Complex): boolean {
  return re === 0 && im === 0
}

function isNumber({ re, im }: Complex): boolean {
  return Number.isFinite(re) && Number.isFinite(im)
}

function real(re: number): Complex {
  return { re, im: 0 }
}

const onReal =
  (compute: (...of: number[]) => number) =>
  (...of: Complex[]): Complex | undefined =>
    of.every(({ re, im }) => Math.abs(im) <= 1e-12 * Math.abs(re) || im === 0)
      ? real(compute(...of.map(({ re }) => re)))
      : undefined

const one = real(1)
const half = real(0.5)
const imaginary: Complex = { re: 0, im: 1 }

const ratio = (...of: Complex[]) => (of.length === 2 ? divided(of[0]!, of[1]!) : undefined)

const functions: Record<string, (...of: Complex[]) => Complex | undefined> = {
  '+': (...of) => of.reduce(plus),
  '*': (...of) => of.reduce(times),
  '/': (...of) => of.reduce(divided),
  ':': ratio,
  time: ratio,
  negate: (a) => minus(real(0), a!),
  '%': (a) => times(a!, real(0.01)),
  '°': (a) => times(a!, real(Math.PI / 180)),
  abs: (a) => real(Math.hypot(a!.re, a!.im)),
  sqrt: (a) => (a!.im === 0 && a!.re >= 0 ? real(Math.sqrt(a!.re)) : raised(a!, half)),
  root: (a, n) => (n!.im === 0 && Number.isInteger(n!.re) && n!.re > 0 ? root(a!, n!.re) : raised(a!, divided(one, n!))),
  ln: (a) => logarithm(a!),
  sin: (a) => ({ re: Math.sin(a!.re) * Math.cosh(a!.im), im: Math.cos(a!.re) * Math.sinh(a!.im) }),
  cos: (a) => cosine(a!),
  tan: (a) => divided(functions.sin!(a!)!, cosine(a!)),
  cot: (a) => divided(cosine(a!), functions.sin!(a!)!),
  sec: (a) => divided(one, cosine(a!)),
  csc: (a) => divided(one, functions.sin!(a!)!),
  sinh: (a) => times(half, minus(exponential(a!), exponential(minus(real(0), a!)))),
  cosh: (a) => times(half, plus(exponential(a!), exponential(minus(real(0), a!)))),
  tanh: (a) => divided(functions.sinh!(a!)!, functions.cosh!(a!)!),
  coth: (a) => divided(functions.cosh!(a!)!, functions.sinh!(a!)!),
  arcsin: (a) => arcsine(a!),
  arccos: (a) => minus(real(Math.PI / 2), arcsine(a!)),
  arctan: onReal(Math.atan),
  floor: onReal(Math.floor),
  ceil: onReal(Math.ceil),
  max: onReal(Math.max),
  min: onReal(Math.min),
  '!': onReal((n) => gamma(n + 1)),
  binom: onReal((n, k) => gamma(n! + 1) / (gamma(k! + 1) * gamma(n! - k! + 1))),
}

function plus(a: Complex, b: Complex): Complex {
  return { re: a.re + b.re, im: a.im + b.im }
}

function minus(a: Complex, b: Complex): Complex {
  return { re: a.re - b.re, im: a.im - b.im }
}

function times(a: Complex, b: Complex): Complex {
  if (isNothing(a) || isNothing(b)) return real(isNumber(a) && isNumber(b) ? 0 : Number.NaN)
  // Infinity · 0 is NaN; the product of real numbers has no imaginary part that could give it.
  if (a.im === 0 && b.im === 0) return kept(a.re * b.re)
  const product = { re: a.re * b.re - a.im * b.im, im: a.re * b.im + a.im * b.re }
  return Math.hypot(product.re, product.im) < LEAST ? real(Number.NaN) : product
}

export function divided(a: Complex, b: Complex): Complex {
  if (isNothing(a)) return real(isNothing(b) || !isNumber(b) ? Number.NaN : 0)
  if (a.im === 0 && b.im === 0) return kept(a.re / b.re)
  const size = b.re * b.re + b.im * b.im
  return times(a, { re: b.re / size, im: -b.im / size })
}

function exponential({ re, im }: Complex): Complex {
  const size = kept(Math.exp(re)).re
  return im === 0 ? real(size) : { re: size * Math.cos(im), im: size * Math.sin(im) }
}

function logarithm({ re, im }: Complex): Complex {
  return { re: Math.log(Math.hypot(re, im)), im: im === 0 && re > 0 ? 0 : Math.atan2(im, re) }
}

function cosine({ re, im }: Complex): Complex {
  return { re: Math.cos(re) * Math.cosh(im), im: -Math.sin(re) * Math.sinh(im) }
}

/** −i ln(iz + √(1 − z²)). */
function arcsine(z: Complex): Complex {
  if (z.im === 0 && Math.abs(z.re) <= 1) return real(Math.asin(z.re))
  const inside = plus(times(imaginary, z), functions.sqrt!(minus(one, times(z, z)))!)
  return times({ re: 0, im: -1 }, logarithm(inside))
}

function raised(base: Complex, exponent: Complex): Complex {
  if (base.im === 0 && exponent.im === 0 && (base.re >= 0 || Number.isInteger(exponent.re))) return powered(base.re, exponent.re)
  if (base.re === 0 && base.im === 0) return real(exponent.re > 0 ? 0 : Number.NaN)
  return exponential(times(exponent, logarithm(base)))
}

function powered(base: number, exponent: number): Complex {
  return base === 0 ? real(base ** exponent) : kept(base ** exponent)
}

function rationalPower(base: Complex, exponent: Rational): Complex {
  const [times, degree] = [Number(exponent.top), Number(exponent.bottom)]
  if (degree === 1) return base.im === 0 ? powered(base.re, times) : wholePower(base, times)
  return degree % 2 === 1 && base.im === 0
    ? rationalPower(root(base, degree), { ...exponent, bottom: 1n })
    : raised(base, real(times / degree))
}

function root(value: Complex, degree: number): Complex {
  const isRealRoot = value.im === 0 && (value.re >= 0 || degree % 2 === 1)
  return isRealRoot ? real(Math.sign(value.re) * Math.abs(value.re) ** (1 / degree)) : raised(value, real(1 / degree))
}

function wholePower(base: Complex, exponent: number): Complex {
  if (Math.abs(exponent) > 64) return raised(base, real(exponent))
  let power = one
  for (let left = Math.abs(exponent); left > 0; left -= 1) power = times(power, base)
  return exponent < 0 ? divided(one, power) : power
}

/** Coefficients for g = 7 and n = 9 of Lanczos' approximation, good to 15 digits (Godfrey, 2001). */
const lanczos = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905,
  -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
]

/** Γ(x), exact for whole numbers up to 22!. */
function gamma(x: number): number {
  if (Number.isInteger(x) && x <= 23) {
    if (x <= 0) return Number.NaN
    let product = 1
    for (let factor = 2; factor < x; factor += 1) product *= factor
    return product
  }
  if (x < 0.5) return Math.PI / (Math.sin(Math.PI * x) * gamma(1 - x))
  const base = x - 1 + 7.5
  const series = lanczos.slice(1).reduce((sum, coefficient, index) => sum + coefficient / (x + index), lanczos[0]!)
  return Math.sqrt(2 * Math.PI) * base ** (x - 0.5) * Math.exp(-base) * series
}
