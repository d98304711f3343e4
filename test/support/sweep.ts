/**
 * The first of a list of cases, or with `QAREPVGG_SWEEP=1` (`npm run test:sweep`) all of them: more of the same kind, which takes minutes
 * and has found little. A forge runs the sweep at night.
 */
export function sweep<T>(cases: readonly T[], count: number): readonly T[] {
  return process.env.QAREPVGG_SWEEP === '1' ? cases : cases.slice(0, count);
}
