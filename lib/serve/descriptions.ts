import type { ServedModel } from './model';

/** The configuration of a model in the JSON of Triton's model_config.proto. */
export function modelConfig({ name, engine, settings, version }: ServedModel) {
  const tensors = (list: typeof engine.inputs) =>
    list.map(({ name: tensor, datatype, shape }) => ({
      name: tensor,
      data_type: datatype === 'BYTES' ? 'TYPE_STRING' : `TYPE_${datatype}`,
      dims: shape.slice(1),
    }));
  return {
    name,
    platform: engine.platform,
    backend: 'qarepvgg',
    version_policy: { specific: { versions: [Number(version)] } },
    max_batch_size: settings.maxBatch,
    input: tensors(engine.inputs),
    output: tensors(engine.outputs),
    dynamic_batching: {
      max_queue_delay_microseconds: Math.round(settings.queueDelay * 1000),
      default_queue_policy: {
        max_queue_size: settings.maxQueue,
        default_timeout_microseconds: settings.timeout * 1000,
        allow_timeout_override: true,
      },
    },
    instance_group: [{ name, kind: 'KIND_CPU', count: 1 }],
  };
}

/** Statistics of a model, as the statistics extension has them. */
export function modelStats({ name, version, statistics }: ServedModel) {
  const { succeeded, failed, queue, infer, batches, images, lastInference } = statistics;
  const none = { count: 0, ns: 0 };
  let executions = 0;
  for (const { count } of batches.values()) executions += count;
  return {
    name,
    version,
    last_inference: lastInference,
    inference_count: images,
    execution_count: executions,
    inference_stats: {
      success: nanoseconds(succeeded),
      fail: nanoseconds(failed),
      queue: nanoseconds(queue),
      compute_input: none,
      compute_infer: nanoseconds(infer),
      compute_output: none,
      cache_hit: none,
      cache_miss: none,
    },
    batch_stats: [...batches].map(([size, time]) => ({
      batch_size: size,
      compute_input: none,
      compute_infer: nanoseconds(time),
      compute_output: none,
    })),
  };
}

function nanoseconds({ count, total }: { count: number; total: number }) {
  return { count, ns: Math.round(total * 1e6) };
}
