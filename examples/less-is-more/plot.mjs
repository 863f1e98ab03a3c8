const names = { inDistribution: 'as in training', longerNumbers: 'longer numbers', newCombinations: 'new combinations' }
const conditions = {
  chains: { label: 'chains with checks', color: '#2f855a' },
  answers: { label: 'ten times as many answers', color: '#7a7a85' },
  poor: { label: 'as many poor chains', color: '#c05621' },
}

/** Bars of the mean accuracy of each condition on each kind of problem, with a dot for each seed. */
export function plot({ base, runs }) {
  const [width, height, left, top, bottom] = [720, 300, 50, 40, 40]
  const y = (share) => height - bottom - share * (height - bottom - top)
  const groupWidth = (width - left - 10) / Object.keys(names).length
  const parts = []
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    parts.push(`<line x1="${left}" x2="${width - 10}" y1="${y(share)}" y2="${y(share)}" stroke="#ddd"/>`)
    parts.push(`<text x="${left - 8}" y="${y(share) + 4}" text-anchor="end">${100 * share}%</text>`)
  }
  for (const [g, [kind, name]] of Object.entries(names).entries()) {
    const start = left + g * groupWidth
    parts.push(`<text x="${start + groupWidth / 2}" y="${height - 14}" text-anchor="middle">${name}</text>`)
    const baseline = y(base[kind])
    for (const [c, [condition, { label, color }]] of Object.entries(conditions).entries()) {
      const shares = runs.filter((run) => run.condition === condition).map((run) => run.scores[kind])
      if (shares.length === 0) continue
      const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length
      const [x, bar] = [start + 20 + c * 62, 48]
      parts.push(
        `<rect x="${x}" y="${y(mean)}" width="${bar}" height="${y(0) - y(mean)}" fill="${color}" opacity="0.75"><title>${label}: ${(100 * mean).toFixed(1)}%</title></rect>`,
      )
      for (const share of shares)
        parts.push(`<circle cx="${x + bar / 2}" cy="${y(share)}" r="3.5" fill="${color}" stroke="#fff"/>`)
    }
    parts.push(
      `<line x1="${start + 12}" x2="${start + groupWidth - 20}" y1="${baseline}" y2="${baseline}" stroke="#444" stroke-dasharray="4 3"/>`,
    )
  }
  const legend = Object.values(conditions).map(
    ({ label, color }, index) =>
      `<rect x="${left + index * 215}" y="12" width="12" height="12" fill="${color}" opacity="0.75"/><text x="${left + 18 + index * 215}" y="23">${label}</text>`,
  )
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" style="font: 13px sans-serif; background: #fff"><title>Accuracy of each model on each kind of problem</title>${[...legend, ...parts].join('\n')}</svg>\n`
}
