import { readFileSync } from 'node:fs';
import { type AddressInfo, Server as NetServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { boundary, QARepVGGError } from '../errors';
import { type GrpcServer, startGrpc } from './grpc';
import { createApp, loadFramework } from './http/app';
import type { Context } from './http/context';
import { createMetrics } from './metrics';
import { loadMetrics } from './model-metrics';
import { ModelRegistry } from './models';
import { checkServeOptions } from './options';
import type { ServeOptions, Server } from './types';
import { watchFiles } from './watch';

/** The name that Node and the helpers of compilers use where the language has none yet. */
const asyncDispose: typeof Symbol.asyncDispose = Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose');

/** Milliseconds that a connection without a request is kept when the server closes. */
const idleGrace = 250;

/**
 * Serves models over HTTP by the Open Inference Protocol (KServe V2), with dynamic batching. Needs the packages fastify
 * and prom-client.
 *
 * @throws {QARepVGGError} (rejects) ERR_INVALID_ARG naming the option; ERR_ADDON_LOAD naming the packages to install; as
 * `InferenceSession.create` for a model that cannot be served.
 *
 * @example
 * const server = await serve({ models: { a0: 'a0-int8.safetensors' }, port: 8080 });
 * process.once('SIGTERM', () => server.close());
 */
export async function serve(options: ServeOptions = {}): Promise<Server> {
  const checked = boundary('serve', () => checkServeOptions(options));
  const [framework, prometheus] = await Promise.all([loadFramework(), loadMetrics()]).catch(missing);
  const registry = new ModelRegistry(checked);
  const metrics = createMetrics(prometheus, registry, checked.tritonMetrics);
  const context: Context = { registry, options: checked, metrics, version: packageVersion(), isClosing: false };
  const app = await createApp(framework, context);
  let grpc: GrpcServer | undefined;
  try {
    await registry.start();
    if (checked.grpcPort !== undefined) grpc = await startGrpc(context, checked.grpcPort);
    await app.listen({ host: checked.host, port: checked.port });
  } catch (error) {
    await Promise.all([app.close(), grpc?.close(0), registry.close()]);
    throw error;
  }
  const unwatch = checked.watch ? watchFiles(registry, reporter(app)) : () => undefined;
  const { port } = app.server.address() as AddressInfo;

  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    unwatch();
    closing ??= closeServer(app, grpc, context);
    return closing;
  };
  return {
    url: `http://${checked.host.includes(':') ? `[${checked.host}]` : checked.host}:${port}`,
    port,
    grpcPort: grpc?.port,
    get modelNames() {
      return registry.names();
    },
    reload: () => registry.reload(),
    close,
    [asyncDispose]: close,
  };
}

/** In this order: readiness ends, no new connections, the last answers, the memory. */
async function closeServer(app: FastifyInstance, grpc: GrpcServer | undefined, context: Context): Promise<void> {
  const { registry, options } = context;
  registry.beginClosing();
  if (options.shutdownDelay > 0) await sleep(options.shutdownDelay);
  await Promise.all([closeConnections(app, context), grpc?.close(options.shutdownTimeout)]);
  // Fastify closes the server as well, which is closed already.
  await app.close().catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ERR_SERVER_NOT_RUNNING') throw error;
  });
  await registry.close();
}

/**
 * Stops listening and ends each connection after its next answer. An idle one is closed only after a while: its client may
 * be sending a request just now, and `http.Server.close` would lose it.
 */
async function closeConnections({ server }: FastifyInstance, context: Context): Promise<void> {
  context.isClosing = true;
  const closed = new Promise<void>((resolve) => NetServer.prototype.close.call(server, () => resolve()));
  const idle = setInterval(() => server.closeIdleConnections(), idleGrace);
  const late = setTimeout(() => server.closeAllConnections(), context.options.shutdownTimeout);
  await closed;
  clearInterval(idle);
  clearTimeout(late);
}

function reporter({ log }: FastifyInstance) {
  return (name: string, error?: unknown): void => {
    if (error === undefined) log.info({ model: name }, 'model replaced');
    else log.error({ model: name, err: error }, 'model not replaced');
  };
}

function missing(cause: unknown): never {
  throw new QARepVGGError(
    'ERR_ADDON_LOAD',
    'serve: expected the packages fastify and prom-client, received none; install them: npm install fastify prom-client',
    { cause },
  );
}

function packageVersion(): string {
  return (JSON.parse(readFileSync(join(__dirname, '../../package.json'), 'utf8')) as { version: string }).version;
}
