import t from 'tap'
import { markedAnswer, parseProblemRow } from '../../../lib/data/problem-row.js'

const read = (value: unknown) => parseProblemRow({ place: { file: 'rows.jsonl', line: 1 }, value } as never)

t.test('a mark is in the last line, a heading is none', async (t) => {
  t.same(markedAnswer('2 + 3 = 5\n#### 5'), { before: '2 + 3 = 5\n', answer: '5' })
  t.same(markedAnswer('she has #### 1,000  \n\n'), { before: 'she has ', answer: '1,000' })
  for (const text of ['#### Step 1\nadd', '#### Step 1\nadd\n#### Conclusion\nso \\boxed{5}', '####', '5', ''])
    t.equal(markedAnswer(text), undefined, text)
})

t.test('a chain in the column of the answer has its answer in its box', async (t) => {
  const chain = '#### Step 1\nadd\n#### Conclusion\nso \\boxed{5}'
  t.match(read({ question: 'q', answer: chain }), { solution: chain, answer: '5' })
  t.match(read({ question: 'q', answer: 'add\n#### 5' }), { solution: 'add\n#### 5', answer: '5' })
  t.match(read({ question: 'q', answer: '\\boxed{5}' }), { answer: '\\boxed{5}', solution: undefined })
  t.match(read({ question: 'q', answer: '#### 5' }), { answer: '5', solution: undefined })
})
