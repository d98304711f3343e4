/** "1 image", "12,000 images" */
export function countOf(value: number, what: string): string {
  return `${value.toLocaleString('en-US')} ${what}${value === 1 ? '' : 's'}`;
}

/** "5.3 KiB", "26.9 MiB" */
export function bytesText(size: number): string {
  return size < 2 ** 20 ? `${(size / 2 ** 10).toFixed(1)} KiB` : `${(size / 2 ** 20).toFixed(1)} MiB`;
}

/** A share, as "98.50 %" */
export function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}
