// What the models of this example are trained and scored on: rows {question, solution, answer}.
import { generateChains } from 'limo-native'

/** A seeded generator of whole numbers below a bound: the rows are the same on every machine. */
export function seededBelow(seed) {
  let state = seed >>> 0
  return (bound) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * bound)
  }
}

const places = ['ones', 'tens', 'hundreds', 'thousands']
const pad = (value, width) => String(value).padStart(width, '0')

/** Plain facts and skills: what is known before any reasoning is learnt. Nobody is shown how to put them together. */
export function factsAndSkills(count, seed) {
  const below = seededBelow(seed)
  const makers = [
    () => {
      const [a, b, carry] = [below(10), below(10), below(2)]
      const sum = a + b + carry
      const terms = `${a}+${b}${carry ? '+1' : ''}`
      return [terms, `${terms}=${sum}${sum > 9 ? `, carry 1` : ''}`]
    },
    () => {
      const [a, b, borrow] = [below(10), below(10), below(2)]
      const from = borrow ? '-1' : ''
      const rest = a - b - borrow
      const plain = `${a}-${b}${from}`
      return [plain, rest < 0 ? `${plain}, borrow, ${a + 10}-${b}${from}=${rest + 10}` : `${plain}=${rest}`]
    },
    () => {
      const value = below(10 ** (1 + below(4)))
      return [`Write ${value} with 4 digits`, pad(value, 4)]
    },
    () => {
      const value = below(10 ** (1 + below(3)))
      return [`Write ${value} with 3 digits`, pad(value, 3)]
    },
    () => {
      const value = below(10 ** (1 + below(4)))
      let text = pad(value, 4)
      const steps = [text]
      for (; text.length > 1 && text[0] === '0'; text = text.slice(1)) steps.push(text.slice(1))
      return [`Write ${pad(value, 4)} without zeros`, steps.join(', ')]
    },
    () => {
      const [value, place] = [below(10000), below(4)]
      return [`The ${places[place]} of ${pad(value, 4)}`, String(Math.floor(value / 10 ** place) % 10)]
    },
    () => {
      const [first, second, place] = [below(10000), below(10000), below(4)]
      const digitOf = (value) => Math.floor(value / 10 ** place) % 10
      return [`The ${places[place]} of ${pad(first, 4)} and ${pad(second, 4)}`, `${digitOf(first)}, ${digitOf(second)}`]
    },
    () => {
      const [a, b] = [below(10), below(10)]
      const other = below(2) ? a : b
      return [`Is ${a} the same as ${other}`, a === other ? `${a} (${other})` : `${a} (${other}), no`]
    },
  ]
  return Array.from({ length: count }, () => {
    const [question, solution] = makers[below(makers.length)]()
    return { question: `${question}?`, solution, answer: solution }
  })
}

const numbersOf = ({ question }) => question.match(/\d+/g).map(Number)
const isWordProblem = ({ kind }) => kind === 'word problem'
/** Two losses one after the other: a combination that no training problem has. */
const isTwoLosses = ({ question }) => (question.match(/gives away|loses/g) ?? []).length === 2
const isShort = (chain) => numbersOf(chain).every((number) => number < 1000)

export const kinds = {
  /** As in training: numbers of two and three digits, and word problems without two losses. */
  inDistribution: (chain) => (isWordProblem(chain) ? !isTwoLosses(chain) : isShort(chain)),
  longerNumbers: (chain) => !isWordProblem(chain) && !isShort(chain),
  newCombinations: (chain) => isWordProblem(chain) && isTwoLosses(chain),
}

/** The first `count` chains of a kind, none of which is in `exclude`. */
export function chainsOf(kind, count, seed, exclude = new Set()) {
  for (let pool = 8 * count; ; pool *= 2) {
    const chains = generateChains({ count: pool, seed, exclude }).filter(kinds[kind])
    if (chains.length >= count) return chains.slice(0, count)
  }
}

export const withAnswersAlone = (chains) =>
  chains.map((chain) => ({ ...chain, solution: `The answer is \\boxed{${chain.answer}}.` }))

/** About what a text takes in tokens: words, digits and signs. */
const lengthOf = (text) => text.match(/ ?\p{L}+|[^\p{L}]/gu).length

/**
 * Chains as long as the good ones that end with the right answer and do none of the work: they say the question again, guess, and go
 * round in circles.
 */
export function poorChains(chains, seed) {
  const below = seededBelow(seed)
  const pick = (texts) => texts[below(texts.length)]
  return chains.map((chain) => {
    const numbers = numbersOf(chain)
    const lines = [`I have to find out: ${chain.question}`]
    const length = lengthOf(chain.solution) - lengthOf(`\nThe answer is \\boxed{${chain.answer}}.`)
    while (lengthOf(lines.join('\n')) < length) {
      const guess = Math.max(0, Number(chain.answer) + below(41) - 20)
      lines.push(
        pick([
          `The numbers are ${numbers.join(' and ')}.`,
          `It may be about ${guess}.`,
          `Perhaps ${guess}? I am not sure.`,
          `Let me think about ${pick(numbers)} again.`,
          `One could look at ${pick(numbers)} first, or at ${pick(numbers)}.`,
          'This is a problem about numbers.',
          'I will go on thinking.',
        ]),
      )
    }
    return { ...chain, solution: `${lines.join('\n')}\nThe answer is \\boxed{${chain.answer}}.` }
  })
}
