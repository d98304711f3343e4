import { info } from '../index';
import { formatTable } from './table';

/** The `info` command. */
export function printInfo({ json = false }): void {
  const facts = info();
  if (json) {
    process.stdout.write(`${JSON.stringify(facts, null, 2)}\n`);
    return;
  }
  const rows = [
    ['version', facts.version],
    ['instruction set', `${facts.isa} (available: ${facts.isas.join(', ')})`],
    ['threads', `${facts.threads} (from ${facts.threadsFrom})`],
    ['node', `${process.version} ${process.platform}-${process.arch}`],
  ];
  process.stdout.write(formatTable(rows, ['left', 'left']));
}
