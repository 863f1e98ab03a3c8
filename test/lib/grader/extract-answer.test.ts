import t from 'tap'
import { extractAnswer } from '../../../lib/grader/extract-answer.js'

t.test('the last box, and nothing else', async (t) => {
  t.equal(extractAnswer('first \\boxed{1}, then $\\boxed{ \\frac{1}{2} }$.'), '\\frac{1}{2}')
  t.equal(extractAnswer('<think>\\boxed{1}</think> so it is \\fbox{2}'), '2')
  t.equal(extractAnswer('\\boxed{1} and then \\boxed{2'), '1')
  t.equal(extractAnswer('The answer is 5.'), undefined)
  t.equal(extractAnswer('#### 5'), undefined)
  t.equal(extractAnswer(''), undefined)
})

t.test('a box without braces', async (t) => {
  const found = [
    ['so $\\boxed 5$', '5'],
    ['\\boxed 5 and so on', '5'],
    ['$\\boxed\\frac12$', '\\frac12'],
    ['\\(\\boxed x+1\\)', 'x+1'],
    ['$$\\fbox -12.5$$', '-12.5'],
    ['$\\boxed 1,234$', '1,234'],
    ['\\boxed\\text{yes}', '\\text{yes}'],
    ['$\\boxed 3$, and $\\boxed{4}$', '4'],
    ['\\boxed{3}. I have put it in \\boxed form', '3'],
  ]
  for (const [text, answer] of found) t.equal(extractAnswer(text!), answer, text!)
  for (const text of ['use \\boxed to mark. The value $x$', '\\boxed', '\\boxed ', '\\boxedness 5', '\\boxed\n\n'])
    t.equal(extractAnswer(text), undefined, text)
})

t.test('what else stands for an answer', async (t) => {
  const found = [
    ['#### Step 1\nadd 2 to 3\n#### Conclusion\nSo there are 5', '5'],
    ['#### Conclusion\nso $x = 5$.', '$x = 5$'],
    ['She sells 9 * 2 = 18.\n#### 18', '18'],
    ['So the answer is $x=5$. I hope it is correct.', '$x=5$'],
    ['**Final Answer**: 42', '42'],
    ['The answer is (C).', '(C)'],
    ['The answer is 7...', '7'],
    ['So the answer is 7 ... I think.\nThe answer: **8**...', '8'],
    ['It is \\boxed{7}...', '7'],
    ['The final answer is 12,000,023. I hope it is correct.', '12,000,023'],
    ['First \\boxed{200}. Final Answer: The final answer is $10,455$. I hope', '$10,455$'],
    ['The answer is 3, that is \\boxed{4}.', '4'],
    ['$\\boxed{2}, \\boxed{3}$ and $\\boxed{5}$', '2, 3, 5'],
    ['\\boxed{1}. Now another thing altogether \\boxed{2}', '2'],
    ['so $a = 3$ or $b = 4$', '$a = 3$ or $b = 4$'],
    ['We have $a = 3$. It follows that $b = 4$', '$b = 4$'],
    ['Out of $n$ there are 12 distinct sequences.', '12'],
    ['not 10 but 1,000.99€', '1,000.99'],
    ['AZYUK2A', 'AZYUK2A'],
    ['28 pct', '28 pct'],
    ['-\\frac{10}{9}', '-\\frac{10}{9}'],
    ['Answer \\[ 9 \\]', '\\[ 9 \\]'],
  ]
  for (const [text, answer] of found) t.equal(extractAnswer(text!, { fallback: true }), answer, text!)
  t.equal(extractAnswer('There is no telling what it may be', { fallback: true }), undefined)
  t.equal(extractAnswer('', { fallback: true }), undefined)
})

t.test('hostile completions take no time', async (t) => {
  const pieces = [
    '\\boxed{',
    '\\boxed{}',
    '\\boxed ',
    '\\boxed 1',
    '$\\boxed 1',
    '{',
    '}',
    '$',
    '\\(',
    '\\',
    ' ',
    '\n',
    '.',
    '####',
    'answer is ',
    '1,',
    '9',
    '\ud800',
    '\0',
    'answer:**',
    '\\boxed{1},',
  ]
  for (const piece of pieces) {
    const text = piece.repeat(Math.ceil(300_000 / piece.length))
    for (const fallback of [false, true]) {
      const start = performance.now()
      extractAnswer(text, { fallback })
      t.ok(performance.now() - start < 1000, `${JSON.stringify(piece)} ${fallback}`)
    }
  }
})
