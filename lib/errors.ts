/** Every error code of the package, one line each: the closed set that `LimoError.code` is taken from. */
export const errorCodes = {
  CONFIG_NOT_FOUND: 'a config file does not exist or cannot be read',
  CONFIG_MALFORMED: 'a config file is not valid YAML or JSON',
  CONFIG_UNKNOWN_KEY: 'a key that no command knows',
  CONFIG_INVALID_VALUE: 'a value of the wrong type or out of range',
  MODEL_NOT_FOUND: 'the model folder or one of its files does not exist',
  MODEL_UNSUPPORTED: 'config.json describes a model this package does not train exactly',
  MODEL_MALFORMED: 'config.json is not a valid model configuration',
  DATA_NOT_FOUND: 'a dataset name or file does not exist, or is no regular file',
  DATA_MALFORMED: 'a dataset file is not valid JSON or JSONL',
  DATA_INVALID_RECORD: 'a record lacks a column, or has one of the wrong type or with broken text',
  DATA_EMPTY_TURN: 'a turn of a record has no text',
  DATA_NOTHING_SCORED: 'no token of a record is scored',
  DATA_OVER_LENGTH: 'an example is longer than cutoff_len and the policy is error',
  DATA_EMPTY: 'no examples are left to train on',
  TOKEN_OUT_OF_RANGE: 'a token id is not in the vocabulary of the model',
  TEMPLATE_NOT_FOUND: 'no chat template in the model folder and none named',
  TEMPLATE_FAILED: 'a chat template is malformed, threw, or renders a prefix unlike the whole',
  TOKENIZER_MALFORMED: 'tokenizer.json is missing or cannot be used',
  SAFETENSORS_MALFORMED: 'a safetensors file is truncated, overlapping or has a bad header',
  TENSOR_MISSING: 'a tensor that the model needs is not in its files',
  TENSOR_UNEXPECTED: 'a tensor in the files that the model has no place for',
  TENSOR_MISMATCH: 'a tensor with another shape or dtype than the model needs',
  CHECKPOINT_NOT_FOUND: 'there is no checkpoint to resume from, or no evaluation to compare',
  CHECKPOINT_CORRUPT: 'a checkpoint is incomplete or does not match its manifest',
  CHECKPOINT_MISMATCH: 'a checkpoint was made by a run with other settings, or two evaluations share no problem',
  WRITE_FAILED: 'a file could not be written: disk full, no permission',
  OUTPUT_EXISTS: 'the output folder already holds a run, or files that a model would replace',
  ADDON_UNAVAILABLE: 'the native addon is not built or does not load',
  DEVICE_UNAVAILABLE: 'the asked device does not exist on this machine',
  DEVICE_FAILED: 'the device reported an error in the middle of its work; nothing more can be run on it',
  DEVICE_CLOSED: 'the device, or something made on it, is closed',
  OUT_OF_MEMORY: 'an arena could not be allocated, or a memory limit is too small',
  PROGRAM_INVALID: 'a graph or program has wrong arity, shapes, dtypes or byte ranges',
  INPUT_INVALID: 'an input of a run has the wrong length or a value out of range',
  IO_FAILED: 'reading weights, or another file of a run, failed',
  NON_FINITE: 'the loss or the gradient norm is not a finite number',
} as const

/** One of the keys of {@link errorCodes}. */
export type ErrorCode = keyof typeof errorCodes

/**
 * The base of every error that this package throws on purpose.
 *
 * `code` is one of {@link errorCodes}; `details` holds what a program may want to act on
 * (file, line, tensor, expected, received). The message says what was expected, what came,
 * where, and what to do.
 */
export class LimoError extends Error {
  readonly code: ErrorCode
  readonly details: Readonly<Record<string, unknown>>

  constructor(code: ErrorCode, message: string, details: Record<string, unknown> = {}, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
    this.code = code
    this.details = details
  }
}

/** A config file, a command-line option or a model's config.json is wrong. */
export class ConfigError extends LimoError {}
/** A dataset, a record, a chat template or a tokenizer is wrong. */
export class DataError extends LimoError {}
/** A model folder, a safetensors file or a checkpoint is wrong or cannot be written. */
export class CheckpointError extends LimoError {}
/** The addon or a device refused or failed, or what is made for one, a graph or a plan, cannot be run. */
export class NativeError extends LimoError {}
