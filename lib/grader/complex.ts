/** A complex number in double precision: roots of negative numbers and `i` come up in answers. */
export interface Complex {
  readonly re: number
  readonly im: number
}

export const real = (re: number): Complex => ({ re, im: 0 })
export const plus = (a: Complex, b: Complex): Complex => ({ re: a.re + b.re, im: a.im + b.im })
export const minus = (a: Complex, b: Complex): Complex => ({ re: a.re - b.re, im: a.im - b.im })
export const times = (a: Complex, b: Complex): Complex => ({ re: a.re * b.re - a.im * b.im, im: a.re * b.im + a.im * b.re })
export const absolute = (a: Complex): number => Math.hypot(a.re, a.im)

export function over(a: Complex, b: Complex): Complex {
  const size = b.re * b.re + b.im * b.im
  return { re: (a.re * b.re + a.im * b.im) / size, im: (a.im * b.re - a.re * b.im) / size }
}

export function exponential(a: Complex): Complex {
  const size = Math.exp(a.re)
  return { re: size * Math.cos(a.im), im: a.im === 0 ? 0 : size * Math.sin(a.im) }
}

/** The principal branch. */
export function logarithm(a: Complex): Complex {
  return { re: Math.log(absolute(a)), im: Math.atan2(a.im, a.re) }
}

export function raise(a: Complex, b: Complex): Complex {
  if (a.re === 0 && a.im === 0) return b.re > 0 ? real(0) : real(b.re === 0 && b.im === 0 ? 1 : Number.NaN)
  if (a.im === 0 && b.im === 0 && (a.re > 0 || Number.isInteger(b.re))) return real(a.re ** b.re)
  return exponential(times(b, logarithm(a)))
}

/** The real root of a negative number where the degree is odd, as people mean it. */
export function root(a: Complex, degree: number): Complex {
  if (a.im === 0 && a.re < 0 && Number.isInteger(degree) && degree % 2 !== 0) return real(-((-a.re) ** (1 / degree)))
  return raise(a, real(1 / degree))
}

export const isFiniteNumber = (a: Complex): boolean => Number.isFinite(a.re) && Number.isFinite(a.im)
