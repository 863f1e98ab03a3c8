import { unitWords } from '../answer/answer.js'

/** Commands of LaTeX's that are operators, brackets or constants, and the sign that each becomes. */
const signs = new Map(
  Object.entries({
    '*': 'times cdot ast star cdotp',
    '/': 'div',
    '±': 'pm',
    '∓': 'mp',
    '=': 'equiv coloneqq',
    '∼': 'sim',
    '≅': 'cong',
    '<': 'lt',
    '>': 'gt',
    '≤': 'le leq leqslant leqq',
    '≥': 'ge geq geqslant geqq',
    '≠': 'ne neq',
    '≈': 'approx simeq approxeq thickapprox',
    '∝': 'propto',
    '→': 'to rightarrow Rightarrow implies iff Leftrightarrow mapsto longrightarrow',
    '∈': 'in',
    '∪': 'cup bigcup',
    '∩': 'cap bigcap',
    '∖': 'setminus smallsetminus',
    ':': 'colon',
    ',': 'land wedge',
    '°': 'circ degree',
    "'": 'prime',
    '|': 'vert lvert rvert mid Vert lVert rVert',
    '⌊': 'lfloor',
    '⌋': 'rfloor',
    '⌈': 'lceil',
    '⌉': 'rceil',
    '(': 'langle lparen',
    ')': 'rangle rparen',
    '[': 'lbrack',
    ']': 'rbrack',
    '\\{': 'lbrace',
    '\\}': 'rbrace',
    '…': 'dots ldots cdots dotsc dotsb vdots ddots',
  }).flatMap(([sign, names]) => names.split(' ').map((name) => [name, sign] as const)),
)

const wordsIn = (text: string) => new Set(text.split(' '))

/** Functions of one argument, by the names that LaTeX, Python and people give them. */
const functions = new Map<string, string>([
  ...'sin cos tan cot sec csc sinh cosh tanh coth arcsin arccos arctan exp ln log'
    .split(' ')
    .map((name) => [name, name] as const),
  ['lg', 'lg'],
  ['cosec', 'csc'],
  ['asin', 'arcsin'],
  ['acos', 'arccos'],
  ['atan', 'arctan'],
  ['abs', 'abs'],
  ['floor', 'floor'],
  ['ceil', 'ceil'],
  ['cbrt', 'cbrt'],
  ['max', 'max'],
  ['min', 'min'],
  ['gcd', 'gcd'],
  ['lcm', 'lcm'],
])

const greek = wordsIn(
  'alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi omega ' +
    'Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell hbar partial nabla odot mho aleph oplus',
)

/** Other ways to write a Greek letter or a constant. */
const sameName = new Map([
  ['varepsilon', 'epsilon'],
  ['varphi', 'phi'],
  ['vartheta', 'theta'],
  ['varrho', 'rho'],
  ['infty', '∞'],
  ['infinity', '∞'],
  ['inf', '∞'],
  ['oo', '∞'],
  ['emptyset', '∅'],
  ['varnothing', '∅'],
])

/** Commands that read an argument in a way of their own. */
export const structures = wordsIn('frac sqrt binom choose begin end text mathbb dot ddot overline bar pmod over sum prod')

/** Commands that say how something looks: their argument is what it is without them. */
const decorations = wordsIn(
  'underline vec hat widehat tilde widetilde overrightarrow mathcal mathscr mathfrak angle measuredangle triangle ' +
    'square phantom underbrace overbrace big Big bigg Bigg ensuremath tag',
)

/** Commands of LaTeX's that are not read, and do not begin with one that is: `\\int` is no `\\in`, `\\neg` no `\\ne`. */
const unread = wordsIn(
  'int oint iint iiint lim limsup liminf sup inf coprod subset subseteq supset supseteq notin ni nexists exists forall neg lnot lor not ' +
    'leftarrow Leftarrow leftrightarrow gets leadsto models pmb bmod mod toprule intercal cupdot nmid nsubseteq supsetneq subsetneq ' +
    'parallel perp arg det dim deg ker Re Im top bot vdash dagger stackrel overset underset substack xrightarrow prec succ preceq succeq',
)

export type NamedToken =
  | { kind: 'sign' | 'function' | 'name' | 'structure'; text: string }
  /** Has no meaning: the argument counts as if the command were not there. */
  | { kind: 'decoration'; text: string }

/**
 * Looks up the command `\name`: the token, and how many letters of the name it takes. `\pic` is π and c, which lost the space
 * between them. No token for a command that is not known: it may do anything with what stands behind it.
 */
export function commandNamed(name: string): { token: NamedToken | undefined; length: number } {
  if (unread.has(name)) return { token: undefined, length: name.length }
  for (let length = name.length; length > 1; length -= 1) {
    const token = known(name.slice(0, length))
    if (token !== undefined) return { token, length }
  }
  return { token: undefined, length: name.length }
}

function known(name: string): NamedToken | undefined {
  const sign = signs.get(name)
  if (sign !== undefined) return { kind: 'sign', text: sign }
  const called = functions.get(name)
  if (called !== undefined) return { kind: 'function', text: called }
  if (greek.has(name)) return { kind: 'name', text: name }
  const same = sameName.get(name)
  if (same !== undefined) return { kind: 'name', text: same }
  if (structures.has(name)) return { kind: 'structure', text: name }
  return decorations.has(name) ? { kind: 'decoration', text: name } : undefined
}

const units = new RegExp(`^(?:${unitWords}|eV|keV|MeV|GeV|Hz|kHz|MHz|kJ|mol|mole|atm|Pa|kPa|erg|pc|kpc|Mpc|yr|ms|nm)$`)
const plainNames = new Map([
  ...sameName,
  ['pi', 'pi'],
  ['theta', 'theta'],
  ['alpha', 'alpha'],
  ['beta', 'beta'],
  ['lambda', 'lambda'],
])

/** Looks up a word without a backslash; undefined where it is only letters. */
export function wordNamed(word: string): NamedToken | { kind: 'text' | 'separator'; text: string } | undefined {
  if (word === 'and' || word === 'or') return { kind: 'separator', text: word }
  if (word === 'percent' || word === 'pct') return { kind: 'sign', text: '%' }
  if (/^deg(?:rees?)?$/.test(word)) return { kind: 'sign', text: '°' }
  if (word === 'sqrt') return { kind: 'structure', text: word }
  const called = functions.get(word)
  if (called !== undefined) return { kind: 'function', text: called }
  const name = plainNames.get(word)
  if (name !== undefined) return { kind: 'name', text: name }
  return units.test(word) ? { kind: 'text', text: word } : undefined
}
