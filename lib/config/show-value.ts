/** A received value as error messages show it: JSON, cut to a readable length; `nothing` where there was none. */
export function showValue(value: unknown): string {
  if (typeof value === 'number') return String(value)
  if (value === undefined) return 'nothing'
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}
