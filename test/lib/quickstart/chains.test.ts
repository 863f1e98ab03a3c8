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
  t.ok(Math.min(...lengths) >= 200 && Math.max(...lengths) <= 950, 'short enough to learn in minutes')
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
    t.ok(mended > 0.1 && mended < 0.3, `${mended} of the chains find a slip and mend it`)
    t.ok(Math.max(...slips) === 2, 'some two')
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
      'Subtract 0255 from 5069. Ones: 9-5=4, so 4. Tens: 6-5=2, so 24. Hundreds: 0-2, borrow, 10-2=8, so 824. Thousands: 5-0-1=4, so 4824.',
      'Check 4824+0255=5069: 4+5=9 (9); 2+5=7 (6), no. Wrong, again.',
      'Subtract 0255 from 5069. Ones: 9-5=4, so 4. Tens: 6-5=1, so 14. Hundreds: 0-2, borrow, 10-2=8, so 814. Thousands: 5-0-1=4, so 4814.',
      'Check 4814+0255=5069: 4+5=9 (9); 1+5=6 (6); 8+2=10 (0); 4+0+1=5 (5). Right.',
      'That is 4814.',
      'The answer is \\boxed{4814}.',
    ].join('\n'),
    answer: '4814',
  }
  t.same(checkChain(chain), { slips: 1 })
  const change = (from: string, to: string) => ({ ...chain, solution: chain.solution.replace(from, to) })
  const fails = (changed: typeof chain, message: RegExp) =>
    t.throws(() => checkChain(changed), { code: 'DATA_INVALID_RECORD', message })
  fails(change('6-5=1', '6-5=2'), /running result of Tens/)
  fails(change('6-5=1, so 14', '6-5=2, so 24'), /running result of Hundreds|number that is checked|wrong columns/)
  fails(change('so 814', 'so 914'), /running result of Hundreds/)
  fails(change('0-2, borrow, 10-2=8', '0-2=8'), /the work on 0 and 2/)
  fails(change('1+5=6', '1+5=7'), /that 1\+5=7 is right/)
  fails(change('2+5=7 (6), no', '2+5=7 (6)'), /whether 2\+5=7 gives 6/)
  fails(change('2+5=7 (6), no. Wrong, again.', '2+5=7 (6), no. Right.'), /the end of the check/)
  fails(change('=5069: 4+5=9 (9); 1', '=5068: 4+5=9 (9); 1'), /leads back to/)
  fails(change('{4814}', '{4815}'), /the last line/)
  fails(change('That is 4814', 'That is 04814'), /the line before the last/)
  fails(change('\nCheck', ' Check'), /expected/)
  fails(change('Thousands', 'Tens'), /the name of column 4/)
  fails({ ...chain, answer: '4815' }, /the answer/)
  fails({ ...chain, question: 'What is 5069 - 256?' }, /second number of calculation 1/)
  fails({ ...chain, question: 'What is 5069 + 255?' }, /operation of calculation 1/)
  fails({ ...chain, question: 'Who are you?' }, /a question that is known/)
})
