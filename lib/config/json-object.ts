/** What `JSON.parse` gives for `{…}`. */
export type JsonObject = Record<string, unknown>

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The first line of what Git LFS leaves in place of a large file. */
export const lfsPointer = 'version https://git-lfs.github.com/spec/'

/** Why a text is not JSON, from the error of `JSON.parse` and from what people have instead of the file that they meant. */
export function jsonProblem(text: string, cause: unknown): string {
  if (text.startsWith(lfsPointer)) return 'it is a pointer of Git LFS: run "git lfs pull" in the folder'
  if (text.startsWith('\uFEFF')) return 'it begins with a byte-order mark: save it as UTF-8 without one'
  if (/^\s*<(?:!doctype|html)/i.test(text)) return 'it is a web page: download the file itself'
  if (text.trim() === '') return 'it is empty: download it again'
  return (cause as Error).message
}
