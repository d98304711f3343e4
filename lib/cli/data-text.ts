import type { Dataset } from '../index';
import type { LoadedPart } from './data';

/** The most names in a line; of longer lists the rest is counted. */
const maxNames = 6;

const columns = 80;
const maxLines = 4;

/** "a, b and 3 more" */
export function listText(names: readonly string[]): string {
  if (names.length <= maxNames) return names.join(', ');
  return `${names.slice(0, maxNames - 1).join(', ')} and ${(names.length - maxNames + 1).toLocaleString('en-US')} more`;
}

/** How many images there are of each class. */
export function countImages({ classes, labels }: Dataset): [name: string, count: number][] {
  const counts = new Array<number>(classes.length).fill(0);
  for (const label of labels) (counts[label] as number)++;
  return classes.map((name, label) => [name, counts[label] as number]);
}

/** "3 classes of 7 to 120" */
export function classesText(images: Dataset): string {
  const counts = countImages(images).map(([, count]) => count);
  const [least, most] = [Math.min(...counts), Math.max(...counts)].map((count) => count.toLocaleString('en-US'));
  const range = least === most ? least : `${least} to ${most}`;
  return `${counts.length} ${counts.length === 1 ? 'class' : 'classes'} of ${range}`;
}

/** "  cats 120, dogs 100, fish 7\n", in lines of a terminal; only the first of many classes. */
export function classLines(images: Dataset): string {
  const entries = countImages(images).map(([name, count]) => `${name} ${count.toLocaleString('en-US')}`);
  const lines: string[] = [];
  let line = ' ';
  for (const [i, entry] of entries.entries()) {
    const text = ` ${entry}${i + 1 < entries.length ? ',' : ''}`;
    if (line.length + text.length > columns && line !== ' ') {
      lines.push(line);
      line = ' ';
    }
    if (lines.length === maxLines) {
      lines.push(`  and ${(entries.length - i).toLocaleString('en-US')} more`);
      break;
    }
    line += text;
  }
  if (line !== ' ') lines.push(line);
  return lines.map((text) => `${text}\n`).join('');
}

/** Lines that name the files of a folder that are skipped; empty where there are none. */
export function skippedText({ skipped, others }: LoadedPart): string {
  const lines: string[] = [];
  if (others.length > 0) lines.push(`not read, ${count(others, 'file')} not named as images: ${listText(others)}`);
  if (skipped.length > 0) lines.push(`skipped, ${count(skipped, 'file')} that cannot be read:`);
  for (const { reason } of skipped) lines.push(`  ${reason}`);
  return lines.map((line) => `${line}\n`).join('');
}

function count(list: readonly unknown[], what: string): string {
  return `${list.length.toLocaleString('en-US')} ${what}${list.length === 1 ? '' : 's'}`;
}
