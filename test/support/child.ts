import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import path from 'node:path';

/** The package's root folder. */
export const root: string = path.join(__dirname, '..', '..');

/**
 * Runs JavaScript in a fresh Node process, in which `require('.')` is the built package. Needed wherever something is
 * read when the package is loaded, or where the process might die.
 */
export function runScript(script: string, env: Record<string, string> = {}): SpawnSyncReturns<string> {
  return runNode(['-e', script], env);
}

/** Runs Node with these arguments, in the package's root folder. */
export function runNode(args: readonly string[], env: Record<string, string> = {}): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, args, {
    cwd: root,
    env: { ...process.env, ...env },
    encoding: 'utf8',
    timeout: 100_000,
  });
}

/**
 * The JSON that a script prints which must succeed. What it writes to its error output counts only where it fails:
 * onnxruntime warns there, for instance on a machine without certificates.
 */
export function jsonOf<T>(args: readonly string[], env: Record<string, string> = {}): T {
  const { stdout, stderr, status } = runNode(args, env);
  if (status !== 0) throw new Error(`expected exit code 0 of ${args[0]}, received ${status}: ${stderr}`);
  return JSON.parse(stdout) as T;
}

/** As {@link runScript}, in a shell that limits the address space of the process, in KiB. */
export function runLimited(script: string, limit: number): SpawnSyncReturns<string> {
  const shell = `ulimit -v ${limit} && exec "$NODE" -e "$SCRIPT"`;
  const env = { ...process.env, NODE: process.execPath, SCRIPT: script };
  return spawnSync('sh', ['-c', shell], { cwd: root, env, encoding: 'utf8', timeout: 100_000 });
}
