/** Columns between images. */
const gap = '  ';

/** From dark to light. */
const shades = ' .:-=+*#%@';

/** A grey image and its caption. */
export interface Drawing {
  /** [height, width] */
  readonly pixels: Uint8Array;
  readonly caption: string;
}

/**
 * Grey images side by side as lines of text. A character holds two pixels, one above the other: half blocks in 24-bit colour,
 * or shades of ASCII.
 */
export function drawImages(drawings: readonly Drawing[], width: number, colour: boolean): string[] {
  const height = (drawings[0]?.pixels.length ?? 0) / width;
  const lines = Array.from({ length: Math.ceil(height / 2) }, (_, line) =>
    drawings.map(({ pixels }) => drawLine(pixels.subarray(2 * line * width), width, colour)).join(gap),
  );
  const captions = drawings.map(({ caption }) => caption.slice(0, width).padEnd(width));
  return [...lines, captions.join(gap)];
}

/** How many images of this width fit into `columns` columns. */
export function drawingsIn(columns: number, width: number): number {
  return Math.max(1, Math.floor((columns + gap.length) / (width + gap.length)));
}

function drawLine(pixels: Uint8Array, width: number, colour: boolean): string {
  const characters = Array.from({ length: width }, (_, x) => {
    const upper = pixels[x] as number;
    const lower = pixels[width + x] ?? 0;
    if (!colour) return shades[Math.floor(((upper + lower) / 512) * shades.length)];
    return `\x1b[38;2;${upper};${upper};${upper};48;2;${lower};${lower};${lower}m\u2580`;
  });
  return characters.join('') + (colour ? '\x1b[0m' : '');
}
