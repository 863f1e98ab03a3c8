import { ConfigError } from '../errors.js'
import { showValue } from './show-value.js'

/** `MODEL_MALFORMED` for a field of the wrong type or out of range. */
export function invalid(field: string, expected: string, received: unknown, place: string): ConfigError {
  return malformed(place, `expected ${expected} for ${field} but received ${showValue(received)}`, field)
}

/** `MODEL_MALFORMED` for a config.json that makes no sense. */
export function malformed(place: string, problem: string, field?: string): ConfigError {
  return new ConfigError('MODEL_MALFORMED', `${problem} (${place})`, { place, ...(field && { field }) })
}

/** `MODEL_UNSUPPORTED` for a field with a value that would be computed otherwise than Transformers does. */
export function unsupported(field: string, received: unknown, place: string, supported: string): ConfigError {
  return new ConfigError(
    'MODEL_UNSUPPORTED',
    `${field} ${showValue(received)} is not supported (${place}): a model is trained exactly or not at all; supported: ${supported}`,
    { place, field, received },
  )
}
