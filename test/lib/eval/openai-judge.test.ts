import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { openaiJudge } from '../../../lib/eval/openai-judge.js'

interface Received {
  path: string | undefined
  authorization: string | undefined
  body: { model: string; messages: { role: string; content: string }[] }
}

/** An endpoint that gives the replies one after the other; a number is the status of a failure. */
async function endpoint(t: Pick<typeof import('tap').t, 'teardown'>, replies: (string | number)[]) {
  const received: Received[] = []
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    received.push({ path: request.url, authorization: request.headers.authorization, body: JSON.parse(text) })
    const reply = replies[Math.min(received.length, replies.length) - 1]!
    if (typeof reply === 'number') response.writeHead(reply).end('busy')
    else response.end(JSON.stringify({ choices: [{ message: { content: reply } }] }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/`, received }
}

const judged = { question: '1+1?', answer: '2', completion: `${'long '.repeat(1000)}\\boxed{two}` }

t.test('a model judges', async (t) => {
  const { url, received } = await endpoint(t, ['Yes.', 'no'])
  const judge = openaiJudge({ url, model: 'm', apiKey: 'key' })
  t.same(await judge(judged), { extracted: 'two', correct: true })
  t.same(await judge(judged), { extracted: 'two', correct: false })
  t.match(received[0], { path: '/v1/chat/completions', authorization: 'Bearer key', body: { model: 'm' } })
  t.match(received[0]!.body.messages[1]!.content, /Right answer:\n2\n/)
  t.ok(received[0]!.body.messages[1]!.content.length < 2200, 'the end of the completion alone')
})

t.test('a failure is tried again, then said', async (t) => {
  const once = await endpoint(t, [503, 'yes'])
  t.equal((await openaiJudge({ url: once.url, model: 'm' })(judged)).correct, true)
  const never = await endpoint(t, [500])
  await t.rejects(openaiJudge({ url: never.url, model: 'm' })(judged), { code: 'IO_FAILED', message: /it answered 500 busy/ })
  const other = await endpoint(t, ['perhaps'])
  await t.rejects(openaiJudge({ url: other.url, model: 'm' })(judged), {
    code: 'IO_FAILED',
    message: /"perhaps" instead of yes or no/,
  })
})
