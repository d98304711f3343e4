import { escapeHtml, page } from '../html';
import { type Detection, readImage } from '../vision';
import { encodeWithDrawing } from '../vision/sharp';

/** What was found in a photograph. */
export interface FoundInPhoto {
  readonly file: string;
  readonly detections: readonly Detection[];
}

/** White text is readable on all of them. */
const colours = ['#c4253a', '#0b62c4', '#158048', '#8a3fc0', '#b34d00', '#0b7285', '#a61e6b', '#5f6b00'];

/** Pixels of the longer side of a photograph on a page. */
const pageSide = 1280;

/** The file of a photograph with boxes over it. @param labels All labels; each has its colour. */
export function boxesPicture(
  photo: FoundInPhoto,
  labels: readonly string[],
  format: 'png' | 'jpeg',
): Promise<Uint8Array> {
  return draw(photo, labels, format, Number.POSITIVE_INFINITY);
}

/** A page that shows photographs with boxes over them, and needs no other file. */
export async function boxesPage(photos: readonly FoundInPhoto[], labels: readonly string[]): Promise<string> {
  const figures: string[] = [];
  for (const photo of photos) {
    const jpeg = Buffer.from(await draw(photo, labels, 'jpeg', pageSide)).toString('base64');
    const name = escapeHtml(photo.file);
    const image = `<img style="max-width: 100%" alt="boxes over ${name}" src="data:image/jpeg;base64,${jpeg}">`;
    figures.push(`<figure><figcaption><h2>${name}</h2></figcaption>${image}</figure>`);
  }
  return page('Boxes', `<header><h1>Boxes</h1></header>\n<main>${figures.join('\n')}</main>`);
}

async function draw(
  { file, detections }: FoundInPhoto,
  labels: readonly string[],
  format: 'png' | 'jpeg',
  maxSide: number,
): Promise<Uint8Array> {
  const { data, dims } = await readImage(file, { channels: 3 });
  const [, height, width] = dims as [number, number, number, number];
  const scale = Math.min(1, maxSide / Math.max(height, width));
  const size = { height: Math.max(1, Math.round(height * scale)), width: Math.max(1, Math.round(width * scale)) };
  const shapes = detections.map((detection) => boxShape(detection, scale, size, labels)).reverse(); // the best on top
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${size.width}" height="${size.height}">${shapes.join('')}</svg>`;
  return encodeWithDrawing({ data, height, width }, size, svg, format);
}

/** A frame with a label above it, or inside where there is no room. */
function boxShape(
  { label, score, box }: Detection,
  scale: number,
  size: { readonly height: number; readonly width: number },
  labels: readonly string[],
): string {
  const [x, y, width, height] = box.map((value) => value * scale) as [number, number, number, number];
  const font = Math.max(10, Math.min(size.height, size.width) / 36);
  const colour = colours[labels.indexOf(label) % colours.length];
  const text = `${label.replace(/\p{Cc}/gu, ' ')} ${Math.round(100 * score)} %`;
  const [lineHeight, lineWidth] = [1.4 * font, 0.62 * font * text.length];
  const top = y >= lineHeight ? y - lineHeight : y;
  const left = Math.max(0, Math.min(x, size.width - lineWidth));
  return (
    `<rect x="${x}" y="${y}" width="${width}" height="${height}" fill="none" stroke="${colour}" stroke-width="${font / 6}"/>` +
    `<rect x="${left}" y="${top}" width="${lineWidth}" height="${lineHeight}" fill="${colour}"/>` +
    `<text x="${left + 0.3 * font}" y="${top + font}" font-family="sans-serif" font-size="${font}" fill="#fff">${escapeHtml(text)}</text>`
  );
}
