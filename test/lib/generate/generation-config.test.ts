import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { TextGenerator } from '../../../lib/generate/generator.js'
import { writeTinyInputs } from '../../tiny-inputs.js'

const prompt = 'What is 1 + 1?'

t.test('what a model folder says of its answers', async (t) => {
  const { modelFolder } = await writeTinyInputs(t.testdir())
  const path = join(modelFolder, 'generation_config.json')
  const answer = async (said: unknown, given = {}) => {
    writeFileSync(path, JSON.stringify(said))
    const generator = await TextGenerator.load(modelFolder)
    try {
      return await generator.complete(prompt, given)
    } finally {
      await generator.close()
    }
  }
  const long = await answer({}, { maxNewTokens: 60 })
  const { ids } = await answer({ max_new_tokens: 7 })
  t.same(ids, long.ids.slice(0, 7), 'how long they are')
  t.equal((await answer({ max_new_tokens: 7 }, { maxNewTokens: 3 })).ids.length, 3, 'what is given comes first')

  const character = Array.from(long.text).find((text, i, all) => i > 3 && /[\x20-\x7e]/.test(text) && all.indexOf(text) === i)!
  t.ok(character, 'a character to stop at')
  for (const said of [character, ['no such text', character]]) {
    const stopped = await answer({ stop_strings: said }, { maxNewTokens: 60 })
    t.match(stopped, { text: long.text.slice(0, long.text.indexOf(character)), finishReason: 'stop' })
  }
  const other = await answer({ stop_strings: character }, { maxNewTokens: 60, stop: ['no such text'] })
  t.equal(other.text, long.text, 'what is given comes first')

  for (const [said, message] of [
    [{ max_new_tokens: 0 }, /expected a whole number from 1 for max_new_tokens but received 0/],
    [
      { stop_strings: ['a', ''] },
      /expected a text or a list of texts, none of them empty for stop_strings but received \["a",""\]/,
    ],
  ] as const)
    await t.rejects(answer(said), { code: 'CONFIG_INVALID_VALUE', message })
})
