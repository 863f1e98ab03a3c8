import t from 'tap'
import { compileTemplate } from '../../../../lib/data/template/jinja-template.js'

const render = (source: string) =>
  compileTemplate('folder', { name: 'test', source: `${source}` }, {})(
    [{ role: 'user', content: 'hi' }],
    { add_generation_prompt: false },
    'place',
  )

/** Whether a condition holds in a template. */
const holds = (condition: string) => render(`{% if ${condition} %}yes{% else %}no{% endif %}`)

t.test('comparisons are those of Python', async (t) => {
  const right = [
    ...[
      '1 == 1',
      '1 == 1.0',
      '1 == true',
      "'a' == 'a'",
      '[1, [2]] == [1, [2]]',
      "{'a': 1} == {'a': 1}",
      'none == none',
      'tools == none',
    ],
    ...[
      "'1' != 1",
      "0 != ''",
      "[] != ''",
      'nothing != none',
      'messages[0].nothing != none',
      '[1] != [2]',
      "{'a': 1} != {'a': 2}",
      'none != false',
    ],
    ...[
      'messages[0] == messages[0]',
      "messages[0]['role'] == 'user'",
      '-7 % 3 == 2',
      '7 % -3 == -2',
      '7 % 3 == 1',
      "'aBC'.capitalize() == 'Abc'",
    ],
    ...["'aBC'|capitalize == 'Abc'", 'loop is not defined', "'1' != 1 and 1 != '1'"],
  ]
  for (const condition of right) t.equal(holds(condition), 'yes', condition)
  for (const condition of [
    "'1' == 1",
    "0 == ''",
    'nothing == none',
    '[1] == [1, 2]',
    'none == false',
    'messages[0].nothing == none',
  ])
    t.equal(holds(condition), 'no', condition)
  t.equal(render('{{ -7 % 3 }} {{ 7.5 % 2 }}'), '2 1.5')
})
