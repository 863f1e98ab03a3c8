import t from 'tap'
import { signatureOf, textKey, wordsOf, wordsWithPlaces } from '../../../lib/curate/text.js'

t.test('texts that are the same but for their setting', async (t) => {
  const same = [
    ['What is $1 + 1$?', 'what is 1+1 ?'],
    ['$\\frac{1}{2}$ of 1,000 dollars', '\\dfrac{1}{2} of 1000 dollars'],
    ['\\left( x \\right)\\, =\\ 2', '(x) = 2'],
    ['ﬁnd the ｗｏｒｄ', 'FIND the word'],
    ['求 1+1 的值。', '求1 + 1的值'],
    ['f(−3) and 10²', 'f(-3) and 10^2'],
    ['a 9-kilometer walk of Tom’s', "a $9$-kilometer walk of Tom's"],
    ['1{,}000', '1,000'],
    ['Café\u0301', 'CAFÉ\u0301'],
  ] as const
  for (const [first, second] of same) t.equal(textKey(first), textKey(second))
  const different = [
    ['What is 1 + 1?', 'What is 1 - 1?'],
    ['It costs 1.5', 'It costs 15'],
    ['2, 3', '23'],
    ['x^2', 'x_2'],
    ['What is 5!?', 'What is 5?'],
    ['f(−3)', 'f(3)'],
    ['A \\cup B', 'A \\cap B'],
    ['A ∪ B', 'A ∩ B'],
    ['(2+3)*4', '2+3*4'],
    ['10²', '102'],
    ['√16', '16'],
    ['|x|', 'x'],
    ["f'(x)", 'f(x)'],
    ['20% of it', '20 of it'],
  ] as const
  for (const [first, second] of different) {
    t.not(textKey(first), textKey(second))
    if (!/[xX23]$/.test(first) && first !== '2, 3') t.not(signatureOf(first), signatureOf(second), first)
  }
})

t.test('words and numbers', async (t) => {
  t.same(wordsOf('Tom has 1,234 (or 3.5) red-hot apples: 求x.'), [
    'tom',
    'has',
    '1234',
    'or',
    '3.5',
    'red',
    'hot',
    'apples',
    '求',
    'x',
  ])
  t.equal(signatureOf('3 and 12 of \\sqrt{3} + 1!'), '! + 1 12 3 3 \\sqrt')
})

t.test('words keep their places', async (t) => {
  for (const text of ['In $\\dfrac{10}{2}$, 1,000 \\text{Apples}!', 'Ｔｈｅ 求 1,000 \\dfrac{3}{4} é']) {
    const words = wordsWithPlaces(text)
    t.same(
      words.map(({ text: word }) => word),
      wordsOf(text),
    )
    for (const { text: word, start, end } of words)
      t.equal(wordsOf(text.slice(start, end)).join('').replace('dfrac', 'frac'), word)
  }
})

t.test('a character outside of ASCII changes no other word', async (t) => {
  for (let code = 0; code < 128; code++) {
    const text = `a${String.fromCharCode(code)}b 1${String.fromCharCode(code)}2`
    t.same(wordsOf(`${text} ’`), wordsOf(text), `code ${code}`)
    t.equal(textKey(`${text} ”`), textKey(text), `code ${code}`)
  }
})
