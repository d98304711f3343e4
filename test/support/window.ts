import type { GraphNode } from '../../binding';

/** Sizes of a convolution with a square kernel that do not depend on its input. */
export interface ConvGeometry {
  readonly outChannels: number;
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
  readonly dilation: number;
  readonly groups: number;
}

/** The attributes of a native node with such a window. */
export function windowAttributes(geometry: Omit<ConvGeometry, 'outChannels'>): GraphNode['attributes'] {
  const { kernel, stride, padding, dilation, groups } = geometry;
  return {
    kernel: [kernel, kernel],
    strides: [stride, stride],
    pads: [padding, padding, padding, padding],
    dilations: [dilation, dilation],
    group: groups,
  };
}
