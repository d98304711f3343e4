import { formatTable } from '../../lib/cli/table';

const wide = (table: string): string[] => table.split('\n').filter((line) => line.length > 80);

test('columns are aligned, the last one without blanks behind it', () => {
  const rows = [
    ['a', '1', 'x'],
    ['bcd', '22', 'yz'],
  ];
  expect(formatTable(rows, ['left', 'right', 'left'])).toBe('  a     1  x\n  bcd  22  yz\n');
});

test('long names lose their middle, numbers stay', () => {
  const name = `WireFrameModel/${'block/'.repeat(30)}Conv2D`;
  const table = formatTable(
    [
      ['node', 'op', 'MMAC'],
      [name, 'Conv', '29.49'],
      ['short', 'Add', '0.00'],
    ],
    ['left', 'left', 'right'],
  );
  expect(wide(table)).toEqual([]);
  expect(table).toMatch(/\n {2}WireFrameModel\/[^ ]*\.\.\.[^ ]*Conv2D {2}Conv {2}29\.49\n {2}short +Add +0\.00\n$/);
});

test('a text in the last column is wrapped below itself', () => {
  const table = formatTable(
    [
      ['classes', Array.from({ length: 40 }, (_, i) => `name${i}`).join(' ')],
      ['x', 'y'],
    ],
    ['left', 'left'],
  );
  expect(wide(table)).toEqual([]);
  expect(table).toMatch(/^ {2}classes {2}name0 .*\n {11}name\d+ /);
  expect(table.match(/name\d+/g)).toHaveLength(40);
});
