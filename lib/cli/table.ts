/** Columns of the narrowest terminal in use. */
const maxWidth = 80;
const indent = 2;
const gap = 2;
/** The shortest length to cut names to. */
const minName = 16;

/**
 * Rows of cells as lines of aligned columns, two spaces apart. Where lines would be longer than 80 characters, long
 * names in the first column lose their middle, and texts in a last column that is aligned to the left are wrapped.
 */
export function formatTable(rows: readonly (readonly string[])[], align: readonly ('left' | 'right')[]): string {
  const widths = align.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const last = align.length - 1;
  const others = widths.slice(1).reduce((sum, width) => sum + width + gap, indent);
  const [first = 0] = widths;
  if (last > 1) widths[0] = Math.min(first, Math.max(minName, maxWidth - others));
  const room = maxWidth - widths.slice(0, last).reduce((sum, width) => sum + width + gap, indent);
  const pad = (cell: string, column: number): string =>
    align[column] === 'right' ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0);
  const line = (row: readonly string[]): string =>
    `${' '.repeat(indent)}${row.map(pad).join(' '.repeat(gap)).trimEnd()}\n`;
  return rows
    .flatMap(([name = '', ...cells]) => {
      const row = [last === 0 ? name : elide(name, widths[0] ?? 0), ...cells];
      const text = row[last];
      if (text === undefined || align[last] === 'right' || text.length <= room) return [line(row)];
      return wrap(text, room).map((part, i) =>
        line([...row.slice(0, last).map((cell) => (i === 0 ? cell : '')), part]),
      );
    })
    .join('');
}

/** "WireFrameModel...Conv2D" */
function elide(name: string, width: number): string {
  if (name.length <= width) return name;
  const head = Math.ceil((width - 3) / 2);
  return `${name.slice(0, head)}...${name.slice(name.length - (width - 3 - head))}`;
}

/** Breaks a text between words. A word that is too long stays whole. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const longer = `${lines.at(-1)} ${word}`;
    if (lines.length > 0 && longer.length <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}
