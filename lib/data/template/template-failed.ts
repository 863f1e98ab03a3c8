import { DataError } from '../../errors.js'

/** TEMPLATE_FAILED for one conversation. */
export function templateFailed(place: string, problem: string, cause?: unknown): DataError {
  return new DataError('TEMPLATE_FAILED', `${place}: ${problem}.`, { place }, { cause })
}
