import type { Difference, EquivalenceReport } from '../index';
import { formatTable } from './table';

/** Prints how two models compare. */
export function printReport(
  { blocks, whole, samples }: EquivalenceReport,
  title: string,
  images: number,
  tolerance: number,
  passed: boolean,
): void {
  const row = ({ name, maxAbsolute, maxRelative, relativeL2 }: Difference): string[] => {
    const figures = [maxAbsolute, maxRelative, relativeL2].map((value) => value.toExponential(1));
    return [name, ...figures, relativeL2 > tolerance ? '<- too large' : ''];
  };
  const head = ['', 'max absolute', 'max relative', 'relative L2', ''];
  const rows = [head, ...blocks.map(row), row({ ...whole, name: 'whole' })];
  const verdict = passed
    ? `The two compute the same: no block differs by more than ${tolerance} (relative L2).`
    : `The two DIFFER by more than ${tolerance} (relative L2).`;
  process.stdout.write(
    `${title}\n${samples - images} random images, ${images} from files\n\n` +
      `${formatTable(rows, ['left', 'right', 'right', 'right', 'left'])}${verdict}\n`,
  );
}
