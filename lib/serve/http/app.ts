import { randomUUID } from 'node:crypto';
import type { FastifyError, FastifyInstance, FastifyReply } from 'fastify';
import { QARepVGGError } from '../../errors';
import { messageOf, statusOf } from '../status';
import { requireToken } from './auth';
import { awaitBodies, discardBody } from './body';
import { classify } from './classify';
import type { Context } from './context';
import { health } from './health';
import { infer } from './infer';
import { logRequests, traceOf } from './log';
import { metadata } from './metadata';
import { metrics } from './metrics';
import { page } from './page';
import { repository } from './repository';

/** Loaded on first use: the rest of the package does not need it. */
export const loadFramework = () => import('fastify');
type Framework = Awaited<ReturnType<typeof loadFramework>>;

/** Seconds after which a client that was refused may try again. */
const retryAfter = '1';

/** The HTTP service, not listening yet. */
export async function createApp({ fastify, LogController }: Framework, context: Context): Promise<FastifyInstance> {
  const { options } = context;
  const app = fastify({
    logger: options.logLevel === 'silent' ? false : { level: options.logLevel, base: null, stream: process.stderr },
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: ({ headers }) => requestId(headers['x-request-id']),
    // Errors of URLs that cannot be decoded.
    frameworkErrors: (error, _request, reply: FastifyReply) => {
      void reply.code(error.statusCode ?? 400).send({ error: error.message });
    },
    routerOptions: { maxParamLength: 128 },
    bodyLimit: options.maxBody,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    keepAliveTimeout: 65_000,
    requestTimeout: 30_000,
    // Ends the connection of a client that neither sends nor reads.
    connectionTimeout: options.settings.timeout + 30_000,
    maxRequestsPerSocket: 10_000,
    http: { maxHeaderSize: 16_384, headersTimeout: 10_000, connectionsCheckingInterval: 2_000 },
  });
  app.server.maxConnections = options.maxConnections;
  app.server.maxHeadersCount = 100;
  awaitBodies(app.server);

  // Clients of the protocol send no content type, or any one; the routes that want a body read it.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null));

  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    if (context.isClosing) reply.header('connection', 'close');
    const encoding = request.headers['content-encoding'];
    if (encoding === undefined || encoding === 'identity') return done();
    void reply.code(415).send({ error: `Content-Encoding: expected identity, received ${JSON.stringify(encoding)}` });
  });
  // Nothing has read this body by now, so nothing will.
  app.addHook('onSend', (request, _reply, _payload, done) => {
    if (request.raw.readableFlowing === null) discardBody(request);
    done();
  });
  app.setNotFoundHandler((_request, reply) => reply.code(404).send({ error: 'Not Found' }));
  app.setErrorHandler((error: FastifyError | QARepVGGError, request, reply) => {
    const isOurs = error instanceof QARepVGGError || error.statusCode === undefined;
    const status = isOurs ? statusOf(error) : (error.statusCode as number);
    if (status >= 500 && status !== 503 && status !== 504)
      request.log.error({ err: error, ...traceOf(request) }, 'internal error');
    if (status === 503) reply.header('retry-after', retryAfter);
    // Do not wait for the rest of a body that is too large.
    if (status === 413) reply.header('connection', 'close');
    return reply.code(status).send({ error: isOurs ? messageOf(error) : error.message });
  });

  requireToken(app, options.token);
  logRequests(app, options.logLevel);

  await app.register(health, context);
  await app.register(metadata, context);
  await app.register(infer, context);
  await app.register(classify, context);
  await app.register(repository, context);
  await app.register(page);
  await app.register(metrics, { registry: context.metrics });
  return app;
}

/** The client's own id, where it is harmless in a log. */
function requestId(given: unknown): string {
  return typeof given === 'string' && /^[\w.-]{1,128}$/.test(given) ? given : randomUUID();
}
