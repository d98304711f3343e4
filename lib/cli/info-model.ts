import { QARepVGGError } from '../errors';
import type { Graph } from '../graph/graph';
import { opOf } from '../graph/ops';
import { countProducts, optimize, type Products } from '../graph/passes';
import { splitGraph } from '../graph/tail';
import type { Model, ModelSummary, Value } from '../index';
import { completeInputDims } from '../model/input-dims';
import { atOnce } from '../slices';
import { readDims } from './dims';
import { formatTable } from './table';

/** What `info` prints of a model of other origin: its nodes, and the native ops that replace them. */
export function printModel(model: Model, { dims, json }: { dims?: readonly string[]; json?: true }): void {
  const inputs = readDims(
    dims,
    model.inputs.map(({ name }) => name),
  );
  const found = summaryOf(model, inputs);
  const facts = {
    form: model.form,
    inputs: model.inputs,
    outputs: model.outputs,
    labels: model.labels,
    preprocessing: model.preprocessing,
  };
  if (json) {
    process.stdout.write(`${JSON.stringify({ ...facts, ...found?.summary, computedAs: found?.computed }, null, 2)}\n`);
    return;
  }
  const { labels, preprocessing } = model;
  const rows = [
    ...model.inputs.map((value) => ['input', describe(value)]),
    ...model.outputs.map((value) => ['output', model.graph.values.has(value.name) ? describe(value) : value.name]),
    ...(labels
      ? [['classes', `${labels.length} (${labels.slice(0, 10).join(', ')}${labels.length > 10 ? ', ...' : ''})`]]
      : []),
    ...(preprocessing
      ? [['preprocessing', `mean ${preprocessing.mean.join(', ')}; std ${preprocessing.std.join(', ')}`]]
      : []),
    ['nodes', countText(countsOf(model.graph))],
    ...(found && model.form === 'int8'
      ? [
          [
            'convolutions',
            `${found.products.integer} in integers, ${found.products.all - found.products.integer} in float`,
          ],
        ]
      : []),
    ['computed as', found ? countText(found.computed) : 'depends on open dims; name them with --dims'],
  ];
  process.stdout.write(formatTable(rows, ['left', 'left']));
  if (found) process.stdout.write(`\n${tableOf(found.summary)}`);
}

interface Found {
  readonly summary: ModelSummary;
  /** Native ops by name. */
  readonly computed: Readonly<Record<string, number>>;
  readonly products: Products;
}

/** Undefined where open dims decide others. */
function summaryOf(model: Model, inputs: Readonly<Record<string, readonly number[]>>): Found | undefined {
  try {
    const all = completeInputDims(model.graph, inputs);
    const optimized = atOnce(optimize(splitGraph(model.graph).head, all));
    return {
      summary: model.summary({ inputs }),
      computed: countsOf(optimized),
      products: countProducts(optimized),
    };
  } catch (error) {
    if (error instanceof QARepVGGError && error.code === 'ERR_SHAPE' && Object.keys(inputs).length === 0)
      return undefined;
    throw error;
  }
}

function countsOf({ nodes }: Graph): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const node of nodes) {
    const name = opOf(node).onnx || node.op;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

function countText(counts: Readonly<Record<string, number>>): string {
  const sorted = Object.entries(counts).sort(([, a], [, b]) => b - a);
  const total = sorted.reduce((sum, [, count]) => sum + count, 0);
  return `${total}: ${sorted.map(([name, count]) => `${count} ${name}`).join(', ')}`;
}

function describe({ name, type, dims }: Value): string {
  return `${name}: ${type} [${dims.join(', ')}]`;
}

function tableOf({ nodes, parameters, macs }: ModelSummary): string {
  const row = (name: string, op: string, output: string, count: number, work: number): string[] => {
    return [name, op, output, count.toLocaleString('en-US'), (work / 1e6).toFixed(2)];
  };
  const rows = nodes.map((node) => row(node.name, node.op, node.output.join(' x '), node.parameters, node.macs));
  const head = ['node', 'operator', 'output', 'parameters', 'MMAC'];
  return formatTable([head, ...rows, row('all', '', '', parameters, macs)], ['left', 'left', 'left', 'right', 'right']);
}
