import { relative } from 'node:path'
import t, { type Test } from 'tap'
import { type DataFileOptions, findDataFiles } from '../../../../lib/data/rows/data-files.js'

function finderIn(test: Test, files: Parameters<Test['testdir']>[0]) {
  const folder = test.testdir(files)
  return async (path: string, options?: DataFileOptions) =>
    (await findDataFiles(path === '' ? folder : `${folder}/${path}`, options)).map((file) => relative(folder, file))
}

t.test('a file, also one that is named like a glob, and globs', async (t) => {
  const find = finderIn(t, { 'a[1].jsonl': '', 'a1.jsonl': '', data: { 'b-2.jsonl': '', 'b-10.jsonl': '', 'c.csv': '' } })
  t.same(await find('a[1].jsonl'), ['a[1].jsonl'])
  t.same(await find('data/*.jsonl'), ['data/b-10.jsonl', 'data/b-2.jsonl'])
  t.same(await find('**/*.{csv,jsonl}'), ['a1.jsonl', 'a[1].jsonl', 'data/b-10.jsonl', 'data/b-2.jsonl', 'data/c.csv'])
  await t.rejects(find('data/*.parquet'), { code: 'DATA_NOT_FOUND', message: /no file matches .*\*\.parquet/ })
  await t.rejects(find('absent.jsonl'), { code: 'DATA_NOT_FOUND', message: /absent\.jsonl does not exist/ })
})

t.test('a dataset folder by the names of its files', async (t) => {
  const layouts: [string, Parameters<Test['testdir']>[0], string[], string[]][] = [
    [
      'split files',
      { 'train.jsonl': '', 'test.jsonl': '', 'README.md': 'x', 'LICENSE.txt': '' },
      ['train.jsonl'],
      ['test.jsonl'],
    ],
    [
      'shards',
      { data: { 'train-00000-of-00002.parquet': '', 'train-00001-of-00002.parquet': '', 'test-00000-of-00001.parquet': '' } },
      ['data/train-00000-of-00002.parquet', 'data/train-00001-of-00002.parquet'],
      ['data/test-00000-of-00001.parquet'],
    ],
    [
      'split folders',
      { train: { 'a.csv': '', 'b.csv': '' }, test: { 'a.csv': '' } },
      ['train/a.csv', 'train/b.csv'],
      ['test/a.csv'],
    ],
  ]
  for (const [name, files, train, test] of layouts) {
    const find = finderIn(t, files)
    t.same(await find(''), train, name)
    t.same(await find('', { split: 'test' }), test, name)
  }
  const find = finderIn(t, { 'limo.jsonl': '', 'dataset_infos.json': '{}', '.cache': { 'a.jsonl': '' } })
  t.same(await find(''), ['limo.jsonl'], 'files without a split are train')
  await t.rejects(find('', { split: 'test' }), { code: 'DATA_NOT_FOUND', message: /no files of the split test/ })
})

t.test('a dataset folder by its README.md', async (t) => {
  const readme = (configs: string) => `---\nlicense: mit\nconfigs:\n${configs}\n---\n# A dataset\n`
  const find = finderIn(t, {
    'README.md': readme(
      '- config_name: main\n  default: true\n  data_files:\n  - split: train\n    path: main/*.jsonl\n  - split: test\n    path: [t1.jsonl, t2.jsonl]\n' +
        '- config_name: socratic\n  data_files: s.jsonl',
    ),
    main: { '1.jsonl': '', '2.jsonl': '' },
    't1.jsonl': '',
    't2.jsonl': '',
    's.jsonl': '',
  })
  t.same(await find(''), ['main/1.jsonl', 'main/2.jsonl'])
  t.same(await find('', { split: 'test' }), ['t1.jsonl', 't2.jsonl'])
  t.same(await find('', { subset: 'socratic' }), ['s.jsonl'])
  await t.rejects(find('', { subset: 'other' }), {
    code: 'DATA_NOT_FOUND',
    message: /expected a subset of main, socratic but received other/,
  })
  await t.rejects(find('', { split: 'validation' }), { code: 'DATA_NOT_FOUND', message: /no files of the split validation/ })
})

t.test('a folder of save_to_disk says what to do', async (t) => {
  const find = finderIn(t, { 'state.json': '{}', 'data-00000-of-00001.arrow': '' })
  await t.rejects(find(''), { code: 'DATA_NOT_FOUND', message: /save_to_disk.*to_parquet/ })
})
