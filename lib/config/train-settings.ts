/** The settings of a training run with every default resolved. Plain JSON; `trainKeys` says what each means. */
export interface TrainConfig {
  modelNameOrPath?: string
  /** Names or paths, joined by commas. */
  dataset?: string
  /** Names or paths, joined by commas, of what is evaluated on instead of a part of `dataset`. */
  evalDataset?: string
  datasetDir: string
  template?: string
  /** Empty for none. */
  defaultSystem: string
  /** Learn the last response of a conversation only. */
  maskHistory: boolean
  /** Learn all text, prompts too. */
  trainOnPrompt: boolean
  /** Given to the chat template; absent for its own default. */
  enableThinking?: boolean
  cutoffLen: number
  overLength: 'error' | 'drop' | 'truncate'
  maxSamples?: number
  mixStrategy: 'concat' | 'interleave_under' | 'interleave_over'
  /** One for each data set; absent for turns. */
  interleaveProbs?: readonly number[]
  /** Absent for the user's own cache folder. */
  tokenizedPath?: string
  preprocessingNumWorkers: number
  packing: boolean
  /** A fraction below 1, or a number of records. */
  valSize: number
  disableShuffling: boolean
  perDeviceTrainBatchSize: number
  gradientAccumulationSteps: number
  learningRate: number
  lrSchedulerType: 'cosine' | 'linear' | 'constant' | 'constant_with_warmup' | 'cosine_with_min_lr'
  /** Lowest learning rate as a share of the highest; 0 but for cosine_with_min_lr. */
  minLrRate: number
  warmupRatio: number
  /** Wins over `warmupRatio`; absent for 0, as in Transformers. */
  warmupSteps?: number
  numTrainEpochs: number
  maxSteps?: number
  weightDecay: number
  adamBeta1: number
  adamBeta2: number
  adamEpsilon: number
  /** 0 for no clipping. */
  maxGradNorm: number
  lossReduction: 'token' | 'sample'
  seed: number
  dataSeed: number
  recompute: 'none' | 'full' | 'auto'
  /** Bytes; absent where the trainer is to decide from what is free. */
  memoryLimit?: number
  /** Weights, activations and matrix products in bfloat16, the rest in float32; all in float32 without. */
  bf16: boolean
  device: string
  threads: number
  outputDir?: string
  overwriteOutputDir: boolean
  loggingSteps: number
  saveStrategy: 'steps' | 'epoch' | 'no'
  saveSteps: number
  saveTotalLimit?: number
  evalStrategy: 'no' | 'steps' | 'epoch'
  evalSteps: number
  perDeviceEvalBatchSize: number
  /** Let the model answer held out records at each evaluation. */
  predictWithGenerate: boolean
  /** How many of them. */
  predictSamples: number
  /** Most tokens of such an answer. */
  maxNewTokens: number
  resumeFromCheckpoint: boolean | string
}

export interface LoadedTrainConfig {
  config: TrainConfig
  /** What a user should know, a line each: what is ignored, what is done otherwise than the words suggest. */
  notes: string[]
  /** The keys that were set, in snake_case. */
  given: Set<string>
}
