// Load on an HTTP server from a process of its own. Requests:
//
// load  { port, path, headers, body, clients, seconds, warmUp?, rate?, expected? }   files of bytes; replies as runLoad of lib/load.mjs,
//       and { cpuSeconds } of this process

import { readFileSync } from 'node:fs';
import { postRequest, runLoad } from './lib/load.mjs';
import { answer } from './lib/server.mjs';

await answer({
  /** @param {{ port: number, path: string, headers: Record<string, string>, body: string, clients: number, seconds: number, warmUp?: number, rate?: number, expected?: string }} request */
  async load({ path, headers, body, expected, ...load }) {
    const request = postRequest(path, headers, readFileSync(body));
    const before = process.cpuUsage();
    const result = await runLoad({ ...load, request, ...(expected && { expected: [readFileSync(expected)] }) });
    const { user, system } = process.cpuUsage(before);
    return { ...result, cpuSeconds: (user + system) / 1e6 };
  },
});
