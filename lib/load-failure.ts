import { existsSync } from 'node:fs';
import path from 'node:path';

/**
 * The message where no addon could be loaded: the machine, every place with the reason why it failed, and what to do.
 *
 * @param root - The package's root folder. The loader's messages hold absolute paths; the caller gave none, so none is shown.
 * @param target - `<platform>-<architecture>`.
 * @param places - Files below `root`, in the order in which they were tried, up to the first that exists.
 * @param error - What loading that one threw.
 */
export function loadFailure(root: string, target: string, places: readonly string[], error: Error): string {
  const found = places.find((place) => existsSync(path.join(root, place)));
  const reason = (place: string): string => {
    if (place === found) return error.message.replaceAll(root + path.sep, '');
    return existsSync(path.join(root, place)) ? `not tried, since ${found} exists` : 'no such file';
  };
  return [
    `native addon: expected one that fits ${target}, received none`,
    `  machine: ${target}, ${libc()}, Node ${process.version}`,
    ...places.map((place) => `  tried ${place}: ${reason(place)}`),
    '  to build it here (needs a C++ compiler), run in the folder of the package, node_modules/qarepvgg: npm run build',
  ].join('\n');
}

/**
 * What Node's report says about the C library. Without `excludeNetwork` it looks up every peer's name, which may take
 * seconds.
 */
interface Reporter {
  excludeNetwork: boolean;
  getReport(): { header: { glibcVersionRuntime?: string }; sharedObjects: string[] };
}

/** The C library of this process. */
function libc(): string {
  const reporter = process.report as unknown as Reporter;
  const before = reporter.excludeNetwork;
  reporter.excludeNetwork = true;
  const { header, sharedObjects } = reporter.getReport();
  reporter.excludeNetwork = before;
  if (header.glibcVersionRuntime) return `glibc ${header.glibcVersionRuntime}`;
  return sharedObjects.some((file) => file.includes('ld-musl')) ? 'musl' : 'libc of the system';
}
