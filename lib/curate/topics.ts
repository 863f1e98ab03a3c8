import { Random } from '../random/random.js'
import { hashWord } from './min-hash.js'
import { wordsOf } from './text.js'

/** Feature hashing: the number of features is fixed, whatever the texts. */
const FEATURES = 1 << 16
const ROUNDS = 12

/** A text as its TF-IDF vector of length 1. */
interface Sparse {
  features: Uint32Array
  values: Float32Array
}

/**
 * Topics of texts: spherical k-means over TF-IDF vectors of their words (tf · log(N / df), scaled to length 1), begun by k-means++
 * with a seed. It is fitted to a sample; any text can be assigned afterwards.
 */
export class Topics {
  private constructor(
    private readonly idf: Float32Array,
    private readonly centres: Float32Array[],
    /** The words that tell each topic from the others. */
    readonly labels: string[][],
  ) {}

  static fit(sample: readonly string[], { topics, seed }: { topics: number; seed: number }): Topics {
    const words = sample.map(topicWords)
    const documents = new Uint32Array(FEATURES)
    const names = new Map<number, string>()
    for (const list of words) {
      for (const feature of new Set(list.map(featureOf))) documents[feature]! += 1
      for (const word of list) if (!names.has(featureOf(word))) names.set(featureOf(word), word)
    }
    // Inverse document frequency: 0 for a word of a single text, which tells no topics apart, and near 0 for a word of nearly
    // all texts.
    const idf = Float32Array.from(documents, (count) => (count < 2 ? 0 : Math.log(sample.length / count)))
    const vectors = words.map((list) => vectorOf(list, idf))
    let centres = vectors.length === 0 ? [] : firstCentres(vectors, topics, new Random(seed, 17))
    for (let round = 0; round < ROUNDS; round++) centres = moved(vectors, centres)
    const labels = centres.map((centre) => labelOf(centre, names))
    return new Topics(idf, centres, labels)
  }

  assign(text: string): number {
    return nearest(vectorOf(topicWords(text), this.idf), this.centres).topic
  }
}

/** Numbers and single letters tell one problem from another, not one topic from another. */
function topicWords(text: string): string[] {
  return wordsOf(text).filter((word) => (word.length > 2 && !functionWords.has(word)) || /\p{sc=Han}/u.test(word))
}

/** Stop words: they occur in every topic, and more often in some styles. */
const functionWords = new Set(
  (
    'the and for are was were with that this from have has had not but can will would each all any its his her she him they them their there then ' +
    'than what when where which who whose how many much more most some such into onto over under after before between both other another one two ' +
    'three four five six you your our out does did done get gets got let per also only same such let find determine compute calculate given suppose ' +
    'frac sqrt cdot left right begin end text'
  ).split(' '),
)

function featureOf(word: string): number {
  return hashWord(word) & (FEATURES - 1)
}

function vectorOf(words: readonly string[], idf: Float32Array): Sparse {
  const counts = new Map<number, number>()
  for (const word of words) {
    const feature = featureOf(word)
    if (idf[feature]! > 0) counts.set(feature, (counts.get(feature) ?? 0) + 1)
  }
  const features = Uint32Array.from(counts.keys()).sort()
  const values = Float32Array.from(features, (feature) => (1 + Math.log(counts.get(feature)!)) * idf[feature]!)
  const length = Math.hypot(...values)
  return { features, values: length === 0 ? values : values.map((value) => value / length) }
}

function dot({ features, values }: Sparse, centre: Float32Array): number {
  let sum = 0
  for (let at = 0; at < features.length; at++) sum += values[at]! * centre[features[at]!]!
  return sum
}

function nearest(vector: Sparse, centres: readonly Float32Array[]): { topic: number; similarity: number } {
  let best = { topic: 0, similarity: -1 }
  for (const [topic, centre] of centres.entries()) {
    const similarity = dot(vector, centre)
    if (similarity > best.similarity) best = { topic, similarity }
  }
  return best
}

/** k-means++ (Arthur and Vassilvitskii, 2007): each further centre is drawn by its distance to the nearest one so far. */
function firstCentres(vectors: readonly Sparse[], count: number, random: Random): Float32Array[] {
  const centres = [dense(vectors[random.below(vectors.length)]!)]
  const distances = vectors.map((vector) => Math.max(0, 1 - dot(vector, centres[0]!)))
  while (centres.length < count) {
    const total = distances.reduce((sum, distance) => sum + distance, 0)
    if (total <= 1e-9) break
    let left = (random.uint32() / 2 ** 32) * total
    let chosen = distances.findIndex((distance) => {
      left -= distance
      return left < 0
    })
    if (chosen < 0) chosen = distances.findLastIndex((distance) => distance > 0)
    const centre = dense(vectors[chosen]!)
    centres.push(centre)
    for (const [index, vector] of vectors.entries())
      distances[index] = Math.min(distances[index]!, Math.max(0, 1 - dot(vector, centre)))
  }
  return centres
}

function dense({ features, values }: Sparse): Float32Array {
  const vector = new Float32Array(FEATURES)
  for (let at = 0; at < features.length; at++) vector[features[at]!] = values[at]!
  return vector
}

/** Each centre becomes the direction of the sum of its texts; one without texts stays. */
function moved(vectors: readonly Sparse[], centres: readonly Float32Array[]): Float32Array[] {
  const sums = centres.map(() => new Float32Array(FEATURES))
  for (const vector of vectors) {
    const sum = sums[nearest(vector, centres).topic]!
    for (let at = 0; at < vector.features.length; at++) sum[vector.features[at]!]! += vector.values[at]!
  }
  return sums.map((sum, topic) => {
    let square = 0
    for (const value of sum) square += value * value
    return square === 0 ? centres[topic]! : sum.map((value) => value / Math.sqrt(square))
  })
}

function labelOf(centre: Float32Array, names: ReadonlyMap<number, string>): string[] {
  return [...names]
    .map(([feature, word]) => ({ word, weight: centre[feature]! }))
    .filter(({ weight }) => weight > 0)
    .sort((a, b) => b.weight - a.weight || (a.word < b.word ? -1 : 1))
    .slice(0, 4)
    .map(({ word }) => word)
}
