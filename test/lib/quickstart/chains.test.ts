import t from 'tap'
import {
  type ArithmeticChain,
  checkChain,
  defaultChains,
  generateChains,
  heldOutProblems,
} from '../../../lib/quickstart/chains.js'

t.test('the format of the chains', async (t) => {
  const chains = generateChains(defaultChains)
  t.equal(chains.length, defaultChains.count)
  for (const kind of ['addition', 'subtraction', 'word problem']) {
    t.ok(Math.abs(chains.filter((chain) => chain.kind === kind).length - defaultChains.count / 3) < 1, `a third is ${kind}`)
  }
  t.ok(chains.every(({ solution, answer }) => solution.endsWith(`The answer is \\boxed{${answer}}.`)))
  const lengths = chains.map(({ solution }) => solution.length)
  t.ok(Math.min(...lengths) >= 150 && Math.max(...lengths) <= 540, 'short enough to learn in minutes')
  t.ok(
    chains.every(({ question, solution }) => /^[\x20-\x7e\n]*$/.test(question + solution)),
    'ASCII alone, for a byte tokenizer',
  )
  t.match(chains[0], { question: 'Compute 362 + 4763.', answer: '5125', key: '362+4763' }, 'as in every other release')
})

t.test('every chain is right', async (t) => {
  for (const seed of [0, 1, 42, 2 ** 31]) {
    const chains = generateChains({ count: 1250, seed })
    const slips = chains.map((chain) => checkChain(chain).slips)
    const mended = slips.filter((count) => count > 0).length / chains.length
    t.ok(mended > 0.3 && mended < 0.6, `${mended} of the chains find a slip and mend it`)
    t.equal(new Set(chains.map(({ key }) => key)).size, chains.length, 'no calculation occurs twice')
  }
})

t.test('the same seed gives the same chains, a larger count the same ones and more', async (t) => {
  t.same(generateChains({ count: 50, seed: 3 }), generateChains({ count: 80, seed: 3 }).slice(0, 50))
  t.notSame(generateChains({ count: 5, seed: 3 }), generateChains({ count: 5, seed: 4 }))
})

t.test('held-out problems have operands that are not trained on', async (t) => {
  /** The numbers of a question, in any order, and its operations. */
  const operands = ({ question }: ArithmeticChain) => {
    const [first, second, ...rest] = question.match(/\d+/g)!.map(Number)
    const numbers = [Math.min(first!, second!), Math.max(first!, second!), ...rest]
    const operations = question
      .match(/\+|-|sum|away from|more|gives away|loses/g)!
      .map((word) => ({ sum: '+', more: '+' })[word] ?? (word === '+' ? '+' : '-'))
    return `${numbers}${operations}`
  }
  const trained = new Set(generateChains(defaultChains).map(operands))
  t.equal(trained.size, defaultChains.count)
  for (const seed of [1, defaultChains.seed]) {
    const heldOut = heldOutProblems(1000, seed)
    t.equal(heldOut.length, 1000)
    t.notOk(heldOut.some((chain) => trained.has(operands(chain))))
    for (const chain of heldOut) checkChain(chain)
  }
})

t.test('checkChain finds any changed digit, operator or word', async (t) => {
  const chains = generateChains({ count: 30, seed: 5 })
  let missed = 0
  for (const chain of chains) {
    for (const [at, character] of [...chain.solution].entries()) {
      const others = /\d/.test(character) ? '0123456789' : /[+-]/.test(character) ? '+-' : ' x'
      for (const other of others) {
        if (other === character) continue
        const solution = chain.solution.slice(0, at) + other + chain.solution.slice(at + 1)
        try {
          checkChain({ ...chain, solution })
          missed += 1
        } catch {}
      }
    }
  }
  t.equal(missed, 0)
})

t.test('checkChain says what is wrong', async (t) => {
  const chain = {
    question: 'What is 5069 - 255?',
    solution: [
      'Subtract 0255 from 5069. Ones: 9-5=4 (4+5=9), so 4. Tens: 6-5=2 (2+5=7, no), 6-5=1 (1+5=6), so 14. ' +
        'Hundreds: 0-2, borrow, 10-2=8 (8+2=10), so 814. Thousands: 5-0-1=4 (4+0+1=5), so 4814.',
      'That is 4814.',
      'The answer is \\boxed{4814}.',
    ].join('\n'),
    answer: '4814',
  }
  t.same(checkChain(chain), { slips: 1 })
  const change = (from: string, to: string) => ({ ...chain, solution: chain.solution.replace(from, to) })
  const fails = (changed: typeof chain, message: RegExp) =>
    t.throws(() => checkChain(changed), { code: 'DATA_INVALID_RECORD', message })
  fails(change('6-5=1 (1+5=6)', '6-5=2 (2+5=7)'), /that the check refuses 2/)
  fails(change('6-5=1 (1+5=6)', '6-5=3 (3+5=8, no), 6-5=1 (1+5=6)'), /the slips of 6-5/)
  fails(change('(2+5=7, no)', '(2+5=6, no)'), /the check of 2/)
  fails(change('(4+5=9)', '(4+5=9, no)'), /the end of the check of 4/)
  fails(change('so 814', 'so 914'), /running result of Hundreds/)
  fails(change('0-2, borrow, 10-2=8', '0-2=8'), /the borrow of 0-2/)
  fails(change('{4814}', '{4815}'), /the last line/)
  fails(change('That is 4814', 'That is 04814'), /the line before the last/)
  fails(change('Thousands', 'Tens'), /the name of column 4/)
  fails({ ...chain, answer: '4815' }, /the answer/)
  fails({ ...chain, question: 'What is 5069 - 256?' }, /second number of calculation 1/)
  fails({ ...chain, question: 'What is 5069 + 255?' }, /operation of calculation 1/)
  fails({ ...chain, question: 'Who are you?' }, /a question that is known/)
})
