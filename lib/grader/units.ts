import { unitWords } from '../answer/answer.js'

const wordsIn = (text: string) => new Set(text.split(' '))

/** Measures by their symbols, whose case counts. */
const symbols = wordsIn(
  'm s g h l L N J K V W C A T F H ohm um us uF Pa Hz eV keV MeV GeV kHz MHz GHz kJ kW MW kWh mol atm kPa MPa erg pc kpc Mpc yr ms ns nm um pm ' +
    'km cm mm dm kg mg ml mL dL cc min hr hrs yrs mins sec secs mph kph lb lbs oz ft in yd mi sq rad sr USD EUR GBP RMB CNY JPY INR',
)

/** Measures and money by their names, and what answers are a number of. Numbers and parts, such as dozens and quarters, are none. */
const nouns = wordsIn(
  'inch foot yard mile meter metre centimeter centimetre millimeter millimetre kilometer kilometre decimeter second minute hour day week ' +
    'month year decade century gram kilogram milligram ton tonne pound ounce liter litre milliliter gallon pint cup tablespoon teaspoon ' +
    'joule newton watt volt ampere ohm micrometer microsecond kelvin celsius fahrenheit pascal hertz radian degree acre hectare knot mole calorie byte bit ' +
    'dollar cent euro yuan yen rupee peso buck penny nickel dime coin bill ticket unit point item piece thing object part way time ' +
    'solution root value answer number integer digit element term factor divisor multiple prime subset set function polynomial sequence ' +
    'permutation combination arrangement possibility outcome case pair triple tuple triplet triangle square rectangle circle line segment ' +
    'edge vertex face side angle region area length path route step move turn jump game match round team player point goal vote ' +
    'person people man woman child kid boy girl student teacher friend worker employee member guest customer passenger visitor family ' +
    'animal dog cat bird fish chicken cow horse sheep pig duck rabbit frog bee ant puppy kitten egg apple orange banana pear peach ' +
    'grape lemon cherry strawberry mango carrot potato tomato onion cookie cake cupcake pie pizza slice muffin candy chocolate lollipop ' +
    'sandwich donut bagel loaf bread cheese sausage burger meal lunch dinner drink juice milk water coffee tea soda ' +
    'book page word letter chapter story paper card sticker stamp picture photo toy doll ball marble block brick bead balloon kite ' +
    'pen pencil crayon marker notebook bag box basket bottle jar can carton crate barrel bucket tray plate bowl glass cup spoon ' +
    'shirt shoe sock hat dress glove coat button car truck bus bike bicycle train plane boat ship wheel tire house home room door ' +
    'window table chair bed desk tree flower plant rose tulip leaf seed branch stone rock shell ticket seat row column cell tile ' +
    'trip lap race call message email photo song movie video show class lesson test question problem exercise assignment ' +
    'job task shift order sale share stick log pole post fence lamp light candle key phone computer machine robot',
)

/** Words before a noun that change nothing of its number. */
const adjectives = wordsIn(
  'red blue green yellow white black brown pink purple orange grey gray big small large little long short tall new old good ' +
    'different distinct possible ordered unordered real complex rational integer whole positive negative total fluid square cubic sq cu ' +
    'full extra',
)

/** Names of measures by their symbols, and singulars that no rule makes. */
const nameOfSymbol = new Map(
  (
    'm meter,s second,sec second,secs second,h hour,hr hour,hrs hour,min minute,mins minute,yr year,yrs year,g gram,kg kilogram,mg milligram,' +
    'l liter,L liter,um micrometer,us microsecond,ml milliliter,mL milliliter,km kilometer,cm centimeter,mm millimeter,dm decimeter,N newton,J joule,W watt,V volt,' +
    'A ampere,K kelvin,Pa pascal,Hz hertz,ft foot,feet foot,in inch,inches inch,yd yard,mi mile,lb pound,lbs pound,oz ounce,rad radian,' +
    'metre meter,litre liter,centimetre centimeter,millimetre millimeter,kilometre kilometer,tonne ton,usd dollar,eur euro,gbp pound,' +
    'rmb yuan,cny yuan,men man,women woman,children child,people person,mice mouse,vertices vertex,leaves leaf,loaves loaf,pennies penny'
  )
    .split(',')
    .map((pair) => pair.split(' ') as [string, string]),
)

const measures = new RegExp(`^(?:${unitWords})$`, 'i')

/**
 * The unit that words behind a number are, in one spelling: `centimeter^2` for `square cm` and `cm^2`, `meter second^-1` for `m/s`,
 * `meters per second` and `m\cdot s^{-1}`, `red apple` for `red apples`. Undefined where they may be anything else, such as `million`,
 * `cubed`, `minus two` or `is wrong`: only nouns that are known count nothing else.
 */
export function unitIn(words: string): string | undefined {
  const text = words
    .replace(/\\text ?\{((?:[^{}]|\{[^{}]*\})*)\}/g, '$1')
    .replace(/\\frac ?\{([^{}]*)\} ?\{([^{}]*)\}/g, '$1/$2')
    .replace(/\\Omega/g, 'ohm')
    .replace(/\\mu ?(?=[a-zA-Z])/g, 'u')
    .replace(/\b(sq|cu)\./g, '$1')
    .trim()
    .replace(/ each$/, '')
  const powers = new Map<string, number>()
  for (const [place, part] of text.split(/ ?\/ ?| per | an? /).entries()) {
    for (const factor of part.split(/ ?(?:\\cdot|\\times|\*) ?/).flatMap(symbolsApart)) {
      const phrase = nounPhrase(factor)
      if (phrase === undefined) return undefined
      powers.set(phrase.name, (powers.get(phrase.name) ?? 0) + (place === 0 ? phrase.power : -phrase.power))
    }
  }
  const written = [...powers].sort(([one], [other]) => (one < other ? -1 : 1))
  return written.map(([name, power]) => (power === 1 ? name : `${name}^${power}`)).join(' ')
}

/** `m s^{-1}` as two units; words with a noun behind them are one. */
function symbolsApart(part: string): string[] {
  const words = part.trim().split(' ')
  const areSymbols = words.every((word) => symbols.has(word.replace(/\^.*$/, '')) && !adjectives.has(word))
  return areSymbols ? words : [part]
}

function nounPhrase(phrase: string): { name: string; power: number } | undefined {
  const found = /^(.*?)(?: ?\^ ?\{? ?(-?\d) ?\}?)?$/.exec(phrase.trim())!
  const words = found[1]!.split(/[ -]+/)
  const last = noun(words.at(-1)!)
  const before = words.slice(0, -1).map((word) => (adjectives.has(word.toLowerCase()) ? word.toLowerCase() : noun(word)))
  if (last === undefined || before.includes(undefined)) return undefined
  const [first] = before
  const worded = first === 'square' || first === 'sq' ? 2 : first === 'cubic' || first === 'cu' ? 3 : undefined
  const rest = found[2] === undefined && worded !== undefined ? before.slice(1) : before
  return {
    name: [...rest, last].join(' ').replace(/^degree (?=celsius|fahrenheit|kelvin)/, ''),
    power: Number(found[2] ?? worded ?? 1),
  }
}

function noun(word: string): string | undefined {
  if (symbols.has(word)) return nameOfSymbol.get(word) ?? nameOfSymbol.get(word.toLowerCase()) ?? word
  const lower = word.toLowerCase()
  if (adjectives.has(lower) && !nouns.has(lower)) return undefined
  const known = [lower, lower.replace(/s$/, ''), lower.replace(/es$/, ''), lower.replace(/ies$/, 'y')].find((form) =>
    nouns.has(form),
  )
  const singular = known ?? (lower.length > 2 ? nameOfSymbol.get(lower) : undefined)
  if (singular !== undefined) return nameOfSymbol.get(singular) ?? singular
  return measures.test(lower) && !/^(?:sq|square|cubic)$/.test(lower) ? lower : undefined
}

const moneySigns: Readonly<Record<string, string>> = { '\\$': 'dollar', '€': 'euro', '£': 'pound', '¥': 'yen' }

/**
 * The money signs of an answer as it was written, which is tidied without them. A dollar sign before a number is one where no other
 * closes the formula.
 */
export function moneyIn(answer: string): string[] {
  const signs: string[] = answer.match(/\\\$|[€£¥]/g) ?? []
  const dollars = answer.replaceAll('\\$', '').match(/\$/g) ?? []
  if (dollars.length % 2 === 1 && /\$ ?\d/.test(answer)) signs.push('\\$')
  return [...new Set(signs.map((sign) => moneySigns[sign]!))]
}

/** Units are left out too often to be held against an answer that has none. */
export function haveOtherUnits(a: string[], b: string[]): boolean {
  if (a.length === 0 || b.length === 0) return false
  const written = (units: string[]) => [...new Set(units)].sort().join(' ')
  return written(a) !== written(b)
}

/** Whether units say that degrees are those of a temperature. */
export function isTemperature(units: readonly string[]): boolean {
  return units.includes('celsius') || units.includes('fahrenheit')
}

/** Factors between units of one kind: of time, money, length, mass, volume, their squares and cubes. */
const conversions = [
  2, 3, 4, 7, 8, 9, 12, 14, 16, 24, 27, 30, 36, 52, 60, 144, 168, 360, 365, 1440, 1728, 1760, 2000, 3600, 5280, 86400, 2.54,
  0.9144, 0.3048, 1.609344, 0.45359237, 3.785411784, 28.349523125,
]

/** Whether one number may be the other in another unit: 5 kg are 5000 where grams are asked for. */
export function mayBeConverted(a: number, b: number): boolean {
  if (a === 0 || b === 0 || !Number.isFinite(a / b)) return false
  const ratio = Math.abs(a / b)
  const isWhole = (value: number) => Math.abs(value - Math.round(value)) < 1e-3
  const isFactor = (factor: number) => Math.abs(ratio / factor - 1) < 1e-3 || Math.abs(ratio * factor - 1) < 1e-3
  return isWhole(Math.log10(ratio)) || conversions.some(isFactor)
}
