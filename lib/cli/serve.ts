import { type ReloadResult, type Server, serve } from '../serve';
import type { ServeFlags } from './serve-command';

type Event = Readonly<Record<string, unknown>> & { readonly event: string };

/** The `serve` command: resolves when the server listens; signals end it. */
export async function runServer({ model, json, quiet: _, ...flags }: ServeFlags): Promise<void> {
  const print = (event: Event, text: string): void => {
    process.stdout.write(`${json ? JSON.stringify(event) : text}\n`);
  };
  // A signal may come while models are being loaded.
  let server: Server | undefined;
  let isStopping = false;
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    // The sender of a second signal does not want to wait.
    if (isStopping || !server) process.exit(1);
    isStopping = true;
    print({ event: 'closing', signal }, `${signal}: closing`);
    await server.close();
    print({ event: 'closed' }, 'closed');
    process.exit(0);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  // Set before the server announces itself: without a handler the signal would end it.
  process.on('SIGHUP', async () => {
    if (!server) return;
    const result = await server.reload();
    print({ event: 'reloaded', ...result }, describeReload(result));
  });

  server = await serve({ ...flags, ...(model && { models: model }) });
  const { url, grpcPort, modelNames } = server;
  const where = `${url}${grpcPort === undefined ? '' : `, gRPC on port ${grpcPort}`}`;
  print(
    { event: 'listening', url, ...(grpcPort !== undefined && { grpcPort }), models: modelNames },
    `${where}: serving ${modelNames.join(', ')}`,
  );
}

function describeReload({ reloaded, failed }: ReloadResult): string {
  return [
    `reloaded ${reloaded.join(', ') || 'nothing'}`,
    ...failed.map(({ name, message }) => `${name}: ${message}`),
  ].join('\n');
}
