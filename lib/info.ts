import type { NativeInfo } from '../binding';
import { addon } from './binding';

export type { NativeInfo };

/**
 * What the native core runs on: version, instruction sets, threads and where their number came from.
 *
 * `QAREPVGG_ISA` (for example `scalar`, `avx2`, `avx512`) and `QAREPVGG_NUM_THREADS` are read when the package is
 * imported.
 *
 * @example
 * console.log(info().isa); // 'avx512'
 */
export function info(): NativeInfo {
  return addon.info();
}
