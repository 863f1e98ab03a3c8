import t from 'tap'
import { compileTemplate } from '../../../../lib/data/template/jinja-template.js'

const messages = [
  { role: 'user', content: 'Q1' },
  { role: 'assistant', content: 'A1' },
  { role: 'user', content: 'Q2' },
]
const render = (source: string) =>
  compileTemplate('folder', { name: 'test', source }, {})(messages, { add_generation_prompt: false }, 'place')

/** Templates, and what Jinja 3.1 of Python writes for them, as Transformers sets it up. */
const written: readonly [source: string, text: string][] = [
  ["{{ 'a\\n\\t\\\\é\\u00a0😀'|list }}", "['a', '\\n', '\\t', '\\\\', 'é', '\\xa0', '😀']"],
  ['{{ 5.0 // 2 }} {{ 5 / 2 }} {{ -7.5 % 2 }}', '2.0 2.5 0.5'],
  ['{% for i in [1,2] %}{{ y is defined }}{% set y = i %}{% endfor %}', 'FalseFalse'],
  ['{% for i in [1,2,3] %}a{% if i == 2 %}b{% continue %}{% endif %}c{% endfor %}', 'acabac'],
  ['{% for i in [1,2,3] %}a{% if i == 2 %}b{% break %}{% endif %}c{% else %}E{% endfor %}', 'acab'],
  ['{% for i in [1] %}a{% continue %}{% else %}E{% endfor %}', 'aE'],
  ['{% for i in [] %}a{% else %}E{% endfor %}', 'E'],
  ["{% for c in 'a😀b' %}{{ loop.index }}{{ c }}{% endfor %}", '1a2😀3b'],
  ["{% for a, b in {'x': 1}.items() %}{{ a }}{{ b }}{% endfor %}", 'x1'],
  ['{% macro m(x) %}{{ q }}{{ x }}{% endmacro %}{% for q in [1] %}{{ m(2) }}{% endfor %}', '2'],
  ['{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}in{{ true }}{% endcall %}', '<inTrue>'],
  ['{% set x %}a{{ true }}{% endset %}{{ x }}{{ x|length }}', 'aTrue5'],
  ['{% filter upper %}a{{ none }}{% endfilter %}', 'ANONE'],
  ["{{ messages[0].length }}|{{ 'abc'.length }}|{{ messages.length }}", '||'],
  ["{{ {'items': 3}['items'] }}", '3'],
  ["{{ {'items': 3}.items()|list }}", "[('items', 3)]"],
  ["{{ {'a': 1}.get('b') }}", 'None'],
  ["{{ {'a': 1}.get('a', 5) }}", '1'],
  ["{{ {'b': 1, 'B': 2, 'a': 3}|tojson(sort_keys=true) }}", '{"B": 2, "a": 3, "b": 1}'],
  ["{{ [1, {'a': []}]|tojson(indent=2) }}", '[\n  1,\n  {\n    "a": []\n  }\n]'],
  ["{{ {'a': 1}|tojson(indent=0) }}", '{\n"a": 1\n}'],
  ["{{ 'é\\x7f'|tojson(ensure_ascii=true) }}", '"\\u00e9\\u007f"'],
  ["{{ 'é'|tojson(true) }}", '"\\u00e9"'],
  ["{{ {'a': 1.5, 'b': [1.0, 2]}|tojson(separators=(',', ':')) }}", '{"a":1.5,"b":[1.0,2]}'],
  ["{{ [1,2]|join(', ') }} {{ [true, none]|join('-') }}", '1, 2 True-None'],
  ["{{ messages|join(',', attribute='role') }}", 'user,assistant,user'],
  [
    "{{ '12abc'|int }} {{ '1.9'|int }} {{ -1.7|int }} {{ ' 3 '|int }} {{ 'x'|int(7) }} {{ 'x'|float }} {{ '1e3'|float }}",
    '0 1 -1 3 7 0.0 1000.0',
  ],
  ["{{ ['a','A','b']|unique|list }}", "['a', 'b']"],
  ["{{ messages|selectattr('role', '==', 'user')|map(attribute='content')|list }}", "['Q1', 'Q2']"],
  ["{{ messages|selectattr('tool_calls', 'undefined')|list|length }}", '3'],
  ["{{ messages|rejectattr('role', 'in', ['user','system'])|list|length }}", '1'],
  ["{{ messages|selectattr('nope')|list|length }}", '0'],
  ["{{ 'abc' < 'abd' }} {{ [1,2] < [1,3] }} {{ 'Z' < 'a' }}", 'True True True'],
  ["{{ 'a' ~ none ~ nope ~ [1] }}", 'aNone[1]'],
  ["{{ 1 in [true] }} {{ none in [none] }} {{ 'x' in nope }} {{ nope in ['a'] }}", 'True True False False'],
  ['{{ none.x }}|', '|'],
  ['{{ (1).x }}|', '|'],
  ['{{ messages[99] }}|{{ messages[99] is defined }}', '|False'],
  ["{{ 'abc'[5] }}|", '|'],
  ["{{ '1' is lower }} {{ 'a1' is lower }} {{ '' is lower }} {{ 'A' is upper }}", 'False True False True'],
  [
    '{{ true is number }} {{ true is integer }} {{ 1 is number }} {{ 1.0 is integer }} {{ {} is iterable }} {{ 5 is iterable }} {{ none is iterable }} {{ nope is iterable }}',
    'True False True False True False False True',
  ],
  [
    "{{ 'hello world-foo bar(baz'|title }} | {{ \"they're bill's\".title() }} | {{ 'aBC dEF'.title() }}",
    "Hello World-Foo Bar(Baz | They'Re Bill'S | Abc Def",
  ],
  ["{{ 'x' * 0 }}|{{ 3 * 'ab' }}", '|ababab'],
  ["{{ true + 1 }} {{ true and 5 }} {{ 0 or none }} {{ '' or nope }}|", '2 5 None |'],
  ['{{ -(-3) }} {{ +true }} {{ not 3 }}', '3 1 False'],
  ['{{ 2 ** 0.5 }} {{ 2 ** -1 }} {{ 7 // -2 }}', '1.4142135623730951 0.5 -4'],
  ["{{ [3,1,2]|min }} {{ ['b','A']|min }} {{ [1,5]|max }} {{ []|max }}|", '1 A 5 |'],
  ["{{ [1,2.5]|sum }} {{ messages|map('length')|sum }}", '3.5 6'],
  ["{{ 'a,b,,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a b c'.split(' ', 1) }}", "['a', 'b', '', 'c'] ['a', 'b'] ['a', 'b c']"],
  [
    "{{ 'a/b/c'.rsplit('/', 1) }} {{ 'aXbX'.partition('X') }} {{ 'aXbX'.rpartition('X') }}",
    "['a/b', 'c'] ('a', 'X', 'bX') ('aXb', 'X', '')",
  ],
  ["{{ 'ab\\ncd\\n'.splitlines() }}", "['ab', 'cd']"],
  ["{{ '😀b'.find('b') }} {{ 'ab'.find('z') }} {{ 'abab'.count('ab') }} {{ ''.count('') }}", '1 -1 2 1'],
  [
    "{{ loop is defined }}{% for i in [1,2] %}{{ loop.cycle('a','b') }}{{ loop.revindex }}{{ loop.previtem is defined }}{% endfor %}",
    'Falsea2Falseb1True',
  ],
  ['{% set ns = namespace(a=1) %}{% for i in [1,2] %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}', '4'],
  ["{% for m in messages if m.role == 'user' %}{{ loop.index }}{{ m.content }}{% endfor %}", '1Q12Q2'],
  ["{% if messages[0].role is defined and messages[0]['x'] is not defined %}y{% endif %}", 'y'],
  ["{{ 'abcdef'[1:3] }} {{ 'a😀c'[1:] }} {{ [1,2,3][::-1] }} {{ 'abc'[::-1] }} {{ 'abc'[-2:] }}", 'bc 😀c [3, 2, 1] cba bc'],
  ["{{ 'a'|reverse }}{{ 'ab'|reverse }}{{ [1,2]|reverse|list }}", 'aba[2, 1]'],
  [
    "{{ messages|map(attribute='nope')|list }} {{ messages|map(attribute='nope', default='d')|join }}",
    '[Undefined, Undefined, Undefined] ddd',
  ],
  [
    "{{ [[1,2],[3]]|map('first')|list }} {{ ['a ', ' b']|map('trim')|list }} {{ ['a','b']|map('upper')|join }}",
    "[1, 3] ['a', 'b'] AB",
  ],
  ["{{ 'x'.upper() }}{{ 'X'.lower() }}{{ 'ß'|upper }}", 'XxSS'],
  ["{{ {'a': {'b': 'c'}}.a.b }} {{ {'a': [{'b': 2}]}['a'][0]['b'] }}", 'c 2'],
  ["{{ 'é'|string|length }} {{ 5|string ~ 'a' }} {{ true|string }} {{ none|string }} {{ 1.0|string }}", '1 5a True None 1.0'],
  ["{{ '' is defined }} {{ nope is none }} {{ none is undefined }}", 'True False False'],
  ["{{ 'abc'.startswith('a') and not 'abc'.endswith('x') }}", 'True'],
  [
    "{{ 5|default(3) }} {{ nope|default(3) }} {{ nope|default }}| {{ ''|default('a', boolean=true) }} {{ none|default('x') }}",
    '5 3 | a None',
  ],
  ["{{ 'a\\n\\nb'|indent(2, true) }}|{{ 'a\\nb'|indent(width=3) }}", '  a\n\n  b|a\n   b'],
  ['{{ -3|abs }} {{ 1.5|abs }}', '3 1.5'],
  ["{{ 'aaa'|replace('a','b',2) }} {{ 'aaa'.replace('a','b') }}", 'bba bbb'],
  ["{{ '  x\\x1c '|trim ~ '|' }}{{ 'xxaxx'.strip('x') }}{{ '😀a'.strip('😀') }}", 'x|aa'],
  ["{{ '\\u2028a'.strip() }}|{{ 'a\\ufeff'|trim|length }}", 'a|2'],
]

/** The same with line breaks of the source. */
const lineBreaks: readonly (readonly [source: string, text: string])[] = [
  ['a\n', 'a'],
  ['a\n\n', 'a\n'],
  ['a\r\n', 'a'],
  ['a\r\n\r\n', 'a\n'],
  ['a\rb', 'a\nb'],
  ['{% if true %}\r\nx\r\n{% endif %}\r\ny', 'x\ny'],
  ["{{ 'a\r\nb' }}", 'a\nb'],
  ['{% for m in messages %}\r\n{{ m.role }}\r\n{% endfor %}\r\n', 'user\nassistant\nuser\n'],
  ['x\n   {% if true %}\n  y\n   {% endif %}\nz', 'x\n  y\nz'],
  ["{{- 'a' -}}   b", 'ab'],
  ["{{ 'a' 'b' }}", 'ab'],
  ["{{ {'a': 1} is lower }}{{ 5 is lower }}{{ true is upper }}{{ (3|safe) is string }}", 'TrueFalseFalseTrue'],
  [
    "{{ (1 == 1) == true and 1 < 2 or 2 > 1 }}{{ 1 == 1 if 2 == 2 else 3 == 3 }}{{ [1 == 1, 2 == 2] }}{{ {'a': 1 == 1, 'in': 2 != 2}.in }}",
    'TrueTrue[True, True]False',
  ],
]

/** Templates that Jinja of Python refuses too. */
const refused: readonly string[] = [
  '{{ nope|int }}',
  '{{ messages[0].nope|float }}',
  "{{ [nope]|map(attribute='role')|list }}",
  "{{ messages|map(attribute='nope.name')|list }}",
  '{{ nope|tojson }}',
  "{{ 'a' + 1 }}",
  '{{ 1 + none }}',
  "{{ 'a' in none }}",
  "{{ 1 in 'abc' }}",
  '{{ none.x.y }}',
  '{{ messages[99].role }}',
  '{{ 1 / 0 }}',
  "{{ 'a'.join(['x', 1]) }}",
]

/** Refused here alone: a number that a double does not keep, and what the library cannot do. */
const refusedHere: readonly [source: string, message: RegExp][] = [
  ['{{ 12345678901234567890123 }}', /more digits than are kept here/],
  ['{{ [1] * 2 }}', /a list \* an integer is not known here/],
  ["{{ '%s' % 'a' }}", /a string % a string is not known here/],
  ["{{ 'aB'.swapcase() }}", /swapcase\(\) is not known here/],
  ['{{ 1.5|round }}', /round/],
  ["{{ 'a' == 'a' == true }}", /a comparison of three values/],
  ['{{ [1 < 2 < 3] }}', /a comparison of three values/],
  ["{% if 'a' in 'abc' == true %}{% endif %}", /a comparison of three values/],
  ["{{ 'a' is escaped }}", /the test escaped is not known here/],
  ["{{ 'a' * 2000000 }}", /more than 1000000 characters/],
]

t.test('templates write what Jinja of Python writes', async (t) => {
  for (const [source, text] of [...written, ...lineBreaks]) t.equal(render(source), text, source)
})

t.test('templates that fail in Python fail here', async (t) => {
  for (const source of refused) t.throws(() => render(source), { code: 'TEMPLATE_FAILED' }, source)
  t.throws(() => render('{{ messages[0].nope.x }}'), { message: /messages\[0\]\.nope is undefined, and has no x/ })
})

t.test('what is not known here is refused by name', async (t) => {
  for (const [source, message] of refusedHere) t.throws(() => render(source), { code: 'TEMPLATE_FAILED', message }, source)
})

t.test('long chains of attributes and loops take no time', async (t) => {
  const depth = 40
  const nested = `{% set d = ${"{'a': ".repeat(depth)}1${'}'.repeat(depth)} %}{{ d${'.a'.repeat(depth)} }}`
  t.equal(render(nested), '1')
  const endless = "{% set x = 'a' * 600000 %}{% for a in x %}{% for b in x %}{% endfor %}{% endfor %}"
  t.throws(() => render(endless), { message: /more than 1000000 iterations/ })
  t.throws(() => render('{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}'), { code: 'TEMPLATE_FAILED' })
})
