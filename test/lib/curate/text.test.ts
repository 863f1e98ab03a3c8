import t from 'tap'
import { numbersOf, textKey, wordsOf, wordsWithPlaces } from '../../../lib/curate/text.js'

t.test('texts that are the same but for their setting', async (t) => {
  const same = [
    ['What is $1 + 1$?', 'what is 1+1 ?'],
    ['$\\frac{1}{2}$ of 1,000 dollars', '\\dfrac{1}{2} of 1000 dollars'],
    ['\\left( x \\right)\\, =\\ 2', '(x) = 2'],
    ['ﬁnd the ｗｏｒｄ', 'FIND the word'],
    ['求 1+1 的值。', '求1 + 1的值'],
    ['Café\u0301', 'CAFÉ\u0301'],
  ] as const
  for (const [first, second] of same) t.equal(textKey(first), textKey(second))
  const different = [
    ['What is 1 + 1?', 'What is 1 - 1?'],
    ['It costs 1.5', 'It costs 15'],
    ['2, 3', '23'],
    ['x^2', 'x_2'],
  ] as const
  for (const [first, second] of different) t.not(textKey(first), textKey(second))
})

t.test('words and numbers', async (t) => {
  t.same(wordsOf('Tom has 1,234 (or 3.5) red-hot apples: 求x.'), [
    'tom',
    'has',
    '1234',
    'or',
    '3.5',
    'red',
    '-',
    'hot',
    'apples',
    '求',
    'x',
  ])
  t.equal(numbersOf(wordsOf('3 and 12 and 3')), '12 3 3')
})

t.test('words keep their places', async (t) => {
  for (const text of ['In $\\dfrac{10}{2}$, 1,000 \\text{Apples}!', 'Ｔｈｅ 求 1,000 \\dfrac{3}{4} é']) {
    const words = wordsWithPlaces(text)
    t.equal(words.map(({ text: word }) => word).join(' '), textKey(text))
    for (const { text: word, start, end } of words) t.equal(textKey(text.slice(start, end)).replace('dfrac', 'frac'), word)
  }
})
