import { closest, distance } from 'fastest-levenshtein'

/**
 * What a word that is no name was meant to be: a name that is spelled nearly so, or begins, ends or abbreviates so (`model`,
 * `batch_size`, `lr`); of several such the first. Undefined where nothing is near.
 */
export function nearestName(word: string, names: readonly string[]): string | undefined {
  if (word === '' || names.length === 0) return undefined
  const nearest = closest(word, names)
  if (distance(word, nearest) <= (word.length <= 4 ? 1 : Math.max(2, word.length / 3))) return nearest
  const parts = (name: string) => name.split(/[_.-]/)
  const initials = (name: string) => Array.from(parts(name), ([letter]) => letter).join('')
  const [start, end] = [parts(word).length, -parts(word).length]
  return (
    names.find((name) => name.includes('_') && initials(name) === word) ??
    names.find((name) => parts(name).slice(0, start).join() === parts(word).join()) ??
    names.find((name) => parts(name).slice(end).join() === parts(word).join())
  )
}
