import t from 'tap'
import { extractAnswer } from '../../../lib/grader/extract-answer.js'

t.test('what is boxed last', async (t) => {
  t.equal(extractAnswer('first \\boxed{1}, then \\boxed{2}'), '2', 'words between them')
  t.equal(extractAnswer('\\boxed{\\frac{1}{2}}'), '\\frac{1}{2}')
  t.equal(extractAnswer('so $\\boxed{1}$ and $\\boxed{2}$.'), '1, 2', 'one answer in two boxes')
  t.equal(extractAnswer('$x_1 = \\boxed{3}, x_2 = \\boxed{4}$'), '3, 4')
  t.equal(extractAnswer('\\boxed{1} no no no no no \\boxed{2}'), '2')
  t.equal(extractAnswer('\\boxed{1'), undefined)
  t.equal(extractAnswer('the answer is 5'), undefined, 'nothing is boxed')
})

t.test('without a box, where that is asked for', async (t) => {
  const found = (text: string) => extractAnswer(text, { fallback: true })
  t.equal(found('the answer is 5.'), '5')
  t.equal(found('so $x=3$ and that is it'), 'x=3')
  t.equal(found('He has 12 apples.\n#### 12'), '12')
  t.equal(found('$21,16$ or $11$'), '21,16, 11')
  t.equal(found('about 28 pct'), '28 pct')
  t.equal(found('nothing'), undefined)
})
