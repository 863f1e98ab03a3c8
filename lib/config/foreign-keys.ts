/*
 * Keys of LLaMA-Factory's format (and of the Transformers TrainingArguments within it) that limo-native does not have.
 * Those that would change the weights that come out are refused, the others are ignored.
 */

const words = (list: string) => list.trim().split(/\s+/)

/** Keys without an influence on the weights: reporting, speed, placement, other frameworks, other stages' outputs. */
const ignored = new Set(
  words(`
    accelerator_config audio_sampling_rate average_tokens_across_devices batch_eval_metrics bf16_full_eval buffer_size
    cache_dir cache_implementation compute_accuracy crop_to_patches data_shared_file_system
    debug deepspeed disable_tqdm dispatch_batches do_eval do_sample
    enable_liger_kernel eval_accumulation_steps eval_delay eval_do_concat_batches eval_on_each_dataset
    eval_use_gather_object flash_attn fp16_backend fp16_full_eval fp16_opt_level full_determinism
    gradient_checkpointing_kwargs greater_is_better half_precision_backend include_effective_tokens_per_second
    include_for_metrics include_inputs_for_metrics include_num_input_tokens_seen include_tokens_per_second infer_backend
    infer_dtype jit_mode_eval label_names length_column_name length_penalty liger_kernel_config local_rank low_cpu_mem_usage
    max_concurrency max_length media_dir metric_for_best_model mp_parameters ms_hub_token
    neat_packing no_cuda num_beams offload_folder om_hub_token overwrite_cache parallelism_config past_index
    per_gpu_eval_batch_size placement_strategy plot_loss prediction_loss_only preprocessing_batch_size
    print_param_status project push_to_hub ray_scope remove_unused_columns repetition_penalty
    report_to resources_per_worker restore_callback_states_from_checkpoint run_name save_on_each_node save_only_model
    skip_memory_metrics skip_special_tokens split_batches streaming temperature tf32 top_k top_p torch_empty_cache_steps torchdynamo
    trackio_space_id trust_remote_code upcast_layernorm upcast_lmhead_output use_cpu use_cuda use_fast_tokenizer use_ipex
    use_kv_cache use_legacy_prediction_loop use_liger_kernel use_mps_device use_ray use_reentrant_gc use_swanlab use_unsloth
    use_unsloth_gc use_v1_kernels
  `),
)
const ignoredPrefixes = words(
  'dataloader_ ddp_ export_ fsdp hf_hub_ hub_ image_ log_level logging_ push_to_hub_ ray_ sglang_ swanlab_ torch_compile tpu_ video_ vllm_',
)

/** Keys that would change the weights, with the values under which they do not. Null and false always are such. */
const refused: Record<string, readonly unknown[]> = {
  adafactor: [],
  adam_bits: [32],
  adapter_name_or_path: [],
  add_special_tokens: [],
  add_tokens: [],
  additional_target: [],
  auto_find_batch_size: [],
  create_new_adapter: [],
  dataloader_drop_last: [],
  do_predict: [],
  efficient_eos: [],
  freeze_multi_modal_projector: [true],
  freeze_vision_tower: [true],
  group_by_length: [],
  ignore_data_skip: [],
  ignore_pad_token_for_loss: [true],
  init_special_tokens: [],
  label_smoothing_factor: [0],
  load_best_model_at_end: [],
  logging_strategy: ['steps'],
  mixture_of_depths: [],
  model_revision: ['main'],
  moe_aux_loss_coef: [0],
  neftune_noise_alpha: [0],
  new_special_tokens_config: [],
  optim_args: [],
  optim_target_modules: [],
  per_gpu_train_batch_size: [],
  pure_bf16: [],
  ref_model: [],
  resize_vocab: [],
  reward_model: [],
  rope_scaling: [],
  save_safetensors: [true],
  shift_attn: [],
  split_special_tokens: [],
  tool_format: [],
  use_adam_mini: [],
  use_apollo: [],
  use_asft_loss: [],
  use_badam: [],
  use_dft_loss: [],
  use_dora: [],
  use_eaft_loss: [],
  use_galore: [],
  use_hyper_parallel: [],
  use_llama_pro: [],
  use_megatron: [],
  use_muon: [],
  use_rslora: [],
}
/** Families of keys for methods that limo-native does not have; meaningful as soon as they are set. */
const refusedPrefixes = words(
  'apollo_ badam_ bnb_ dpo_ double_quantization dft_ freeze_ galore_ kto_ lora_ loraplus_ oft_ pissa_ ppo_ pref_ quantization_ quant_ simpo_ lisa_',
)

/** Every foreign key that is known by its whole name. */
export const foreignKeys: readonly string[] = [...ignored, ...Object.keys(refused)]

/** What to do with a key that limo-native does not have. */
export function foreignKey(key: string, value: unknown): 'ignored' | 'refused' | 'unknown' {
  const isNeutral = (neutral: readonly unknown[]) => [null, undefined, false, 'false', ...neutral].includes(value as never)
  if (Object.hasOwn(refused, key)) {
    const neutral = refused[key]!
    return isNeutral([...neutral, ...neutral.map(String)]) ? 'ignored' : 'refused'
  }
  if (refusedPrefixes.some((prefix) => key.startsWith(prefix))) return isNeutral([]) ? 'ignored' : 'refused'
  if (ignored.has(key) || ignoredPrefixes.some((prefix) => key.startsWith(prefix))) return 'ignored'
  return 'unknown'
}
