import t from 'tap'
import { type Page, PagePool } from '../../../lib/generate/page-pool.js'

const prompt = (length: number, first = 0) => Array.from({ length }, (_, i) => first + i)

/** Takes what a prompt needs, as the engine does. */
function admit(pool: PagePool, tokens: number[]): Page[] {
  const { pages } = pool.holdKnown(tokens)
  while (pages.length * pool.pageSize < tokens.length) pages.push(pool.take()!)
  pool.announce(tokens, pages)
  return pages
}

t.test('pages of a beginning that is known are shared, but for the last token’s', async (t) => {
  const pool = new PagePool(8, 4)
  const first = admit(pool, prompt(9))
  t.same({ pages: first.length, available: pool.available }, { pages: 3, available: 5 })
  t.same(pool.holdKnown(prompt(9)), { pages: [], isNextPending: true }, 'not before they are computed')
  pool.markReady(first, 9)
  t.same(pool.holdKnown(prompt(9)).pages, first.slice(0, 2))
  pool.release(first.slice(0, 2))
  t.same(pool.holdKnown(prompt(8)).pages, first.slice(0, 1), 'the page of the last token must be computed')
  pool.release(first.slice(0, 1))
  t.same(pool.holdKnown([...prompt(4), 99, 99, 99, 99, 99]).pages, first.slice(0, 1))
  pool.release(first.slice(0, 1))
  t.same(pool.holdKnown([...prompt(4, 50), ...prompt(5, 4)]).pages, [], 'the same tokens after others are others')
})

t.test('pages that nobody holds are kept until they are needed, the longest unused go first', async (t) => {
  const pool = new PagePool(4, 4)
  const [a, b] = [prompt(5), prompt(5, 100)].map((tokens) => {
    const pages = admit(pool, tokens)
    pool.markReady(pages, 5)
    pool.release(pages)
    return tokens
  })
  t.equal(pool.available, 4)
  t.equal(pool.holdKnown(a!).pages.length, 1)
  const taken = [pool.take(), pool.take(), pool.take()]
  t.same(
    taken.map((page) => page !== undefined),
    [true, true, true],
  )
  t.equal(pool.take(), undefined, 'all are held')
  t.equal(pool.holdKnown(b!).pages.length, 0, 'given away')
  t.equal(pool.holdKnown(a!).pages.length, 1, 'held')
})

t.test('pages of a sequence that ends before they are computed are forgotten', async (t) => {
  const pool = new PagePool(4, 4)
  pool.release(admit(pool, prompt(9)))
  t.same(pool.holdKnown(prompt(9)), { pages: [], isNextPending: false })
  t.equal(pool.available, 4)
})
