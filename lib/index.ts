/** The embedding API: everything that a program that trains from Node needs. */

export { type ModelFolder, openModelFolder } from './checkpoint/model-folder.js'
export { type ModelConfig, parseModelConfig, readModelConfig } from './config/model-config.js'
export {
  type LoadedTrainConfig,
  loadTrainConfig,
  parseTrainConfig,
  type TrainConfig,
  type TrainConfigInput,
} from './config/train-config.js'
export { type CurateEvent, type CurateOptions, type CurateReport, curate } from './curate/curate.js'
export { type CurateConfig, type CurateConfigInput, loadCurateConfig, parseCurateConfig } from './curate/curate-config.js'
export { type CheckOptions, checkData, type DataCheck, type DataProblem } from './data/check-data.js'
export type { Example } from './data/example.js'
export { type ExampleInfo, type Examples, examplesOf } from './data/examples.js'
export { type LoadedExamples, type LoadOptions, loadExamples } from './data/load-examples.js'
export type { PackedBatch } from './data/packer.js'
export { CheckpointError, ConfigError, DataError, type ErrorCode, errorCodes, LimoError, NativeError } from './errors.js'
export { type Benchmark, type BenchmarkOptions, type Problem, readBenchmarks } from './eval/benchmark.js'
export {
  type BenchmarkComparison,
  type ChangedProblem,
  type ComparedEvaluation,
  compareEvaluations,
  type EvaluationComparison,
} from './eval/compare-evaluations.js'
export { type EvaluateEvent, type EvaluateOptions, evaluate } from './eval/evaluate.js'
export { type GradeCompletionsOptions, type GradedCompletions, gradeCompletions } from './eval/grade-completions.js'
export type { Judge, JudgedAnswer, Judgment } from './eval/judge.js'
export { type OpenAiJudgeOptions, openaiJudge } from './eval/openai-judge.js'
export type { ProtocolOptions } from './eval/protocol.js'
export type { PublishedAccuracy } from './eval/published-accuracy.js'
export type { EvalResult } from './eval/result.js'
export { type ProblemScore, passAtK } from './eval/scores.js'
export type { BenchmarkSummary } from './eval/summary.js'
export type { Completion, FinishReason, GenerateOptions, GenerationEvent, Prompt } from './generate/completion.js'
export { type GeneratorOptions, TextGenerator } from './generate/generator.js'
export type { SamplingOptions } from './generate/sampling.js'
export { type Comparison, compareAnswers } from './grader/compare-answers.js'
export type { Verdict } from './grader/compare-values.js'
export { type ExtractOptions, extractAnswer } from './grader/extract-answer.js'
export { type Grade, Grader, type GraderOptions } from './grader/grader.js'
export { appendBackward } from './graph/backward.js'
export { type AttributeValue, Graph, type Node } from './graph/graph.js'
export { type Bounds, type MemoryPlan, planMemory } from './graph/memory-plan.js'
export type { GradientContext, OpDefinition, Queue } from './graph/op.js'
export { adamw, gradNorm } from './graph/ops/adamw.js'
export { attention } from './graph/ops/attention.js'
export { add, castOp, copyOp, zeroOp } from './graph/ops/elementwise.js'
export { embedding } from './graph/ops/embedding.js'
export { expertLinear } from './graph/ops/expert-linear.js'
export { headNorm } from './graph/ops/head-norm.js'
export { linear } from './graph/ops/linear.js'
export { linearCrossEntropy } from './graph/ops/linear-cross-entropy.js'
export { rmsNorm } from './graph/ops/rms-norm.js'
export { rope, rotaryTable } from './graph/ops/rope.js'
export { route } from './graph/ops/route.js'
export { swiglu } from './graph/ops/swiglu.js'
export { describeProgram, type FixedPlacement, type ProgramOptions, programText } from './graph/program.js'
export { Tensor } from './graph/tensor.js'
export { type InspectedToken, type Inspection, inspectRecord } from './inspect/inspection.js'
export { inspectionPage } from './inspect/inspection-page.js'
export { appendDecoder } from './model/decoder.js'
export { type DecoderParameters, declareParameters, type TrainableWeights } from './model/decoder-parameters.js'
export { type FreezeSettings, trainableBy } from './model/freeze.js'
export {
  type Dtype,
  type MemoryKind,
  type OpDescription,
  type ProgramDescription,
  SEQUENCE_BOUNDS,
  SEQUENCES,
  type TensorDescription,
  TOKENS,
} from './native/addon-types.js'
export { Arena, CompiledProgram, Device, type DeviceOptions, openDevice, type RunOptions } from './native/device.js'
export { layOutParameters, type Parameter, type ParameterLayout, type Parameters } from './plan/parameters.js'
export { recomputeLayers } from './plan/passes/recompute.js'
export { addWaits } from './plan/passes/waits.js'
export {
  type CommonStorage,
  type Placement,
  type Plan,
  PlanBuilder,
  type PlanDevice,
  type PlannedProgram,
  type ProgramMemory,
  type Storage,
  type StoragePlace,
  type StorageSize,
} from './plan/plan.js'
export { Session, type SessionPlan } from './plan/session.js'
export { type ArithmeticChain, generateChains } from './quickstart/chains.js'
export { prepareQuickstart, type Quickstart } from './quickstart/quickstart.js'
export { type EvalMetrics, readMetrics, type StepMetrics } from './train/metrics.js'
export { type PreparedRun, prepareRun } from './train/prepare.js'
export { type RunSummary, summarizeRun } from './train/run-summary.js'
export { planTraining, type TrainPlan, type TrainPlanOptions } from './train/train-plan.js'
export { type TrainEvent, type TrainOptions, train } from './train/trainer.js'
