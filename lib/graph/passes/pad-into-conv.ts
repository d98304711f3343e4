import type { Graph, GraphNode } from '../graph';
import { convWindow } from '../ops/conv';
import { constantNumber } from '../ops/op';
import { padsOf } from '../ops/pad';
import { Rewriter } from '../rewriter';

/** Moves a Pad with zeros along spatial axes into the convolution after it. */
export function padIntoConv(graph: Graph): Graph {
  const rewriter = new Rewriter(graph);
  for (const conv of rewriter.nodes('conv')) {
    const pad = rewriter.maker(conv.inputs[0]);
    const pads = pad && zeroPads(pad, rewriter);
    if (!pad || !pads) continue;
    const own = convWindow(rewriter.view(conv)).pads;
    rewriter.replace(conv, {
      ...conv,
      inputs: [pad.inputs[0] as string, ...conv.inputs.slice(1)],
      attributes: { ...conv.attributes, auto_pad: 'NOTSET', pads: own.map((count, i) => count + (pads[i] as number)) },
    });
  }
  return rewriter.finish();
}

/** Beginnings and ends along the spatial axes; nothing for any other padding. */
function zeroPads(pad: GraphNode, rewriter: Rewriter): number[] | undefined {
  if (pad.op !== 'pad' || pad.attributes.mode !== 'constant' || pad.activation) return undefined;
  const view = rewriter.view(pad);
  const { begins, ends } = padsOf(view);
  const others = [...begins.slice(0, 2), ...ends.slice(0, 2)];
  const spatial = [...begins.slice(2), ...ends.slice(2)];
  const fits = others.every((count) => count === 0) && spatial.every((count) => count >= 0);
  return fits && (constantNumber(view, 2) ?? 0) === 0 ? spatial : undefined;
}
