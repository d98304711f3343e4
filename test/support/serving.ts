import { type ServeOptions, type Server, serve } from '../../lib/serve';

/** Starts servers on free ports, and closes them after the tests of a file. */
export function servers(): (options?: ServeOptions) => Promise<Server> {
  const started: Server[] = [];
  afterAll(async () => {
    await Promise.all(started.map((server) => server.close()));
  });
  return async (options = {}) => {
    const server = await serve({ port: 0, shutdownDelay: 0, logLevel: 'silent', ...options });
    started.push(server);
    return server;
  };
}

/** An answer in JSON. */
export async function ask(url: string, init?: RequestInit): Promise<{ status: number; body: unknown }> {
  const response = await fetch(url, init);
  const text = await response.text();
  return { status: response.status, body: text === '' ? '' : JSON.parse(text) };
}
