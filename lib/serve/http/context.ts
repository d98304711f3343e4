import type { FastifyContextConfig, FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify';
import type { Registry } from 'prom-client';
import { Cancellation } from '../cancellation';
import type { Hold } from '../memory';
import type { ServedModel } from '../model';
import type { ModelRegistry } from '../models';
import type { CheckedServeOptions } from '../options';

/** What the plugins share. */
export interface Context {
  readonly registry: ModelRegistry;
  readonly options: CheckedServeOptions;
  readonly metrics: Registry;
  /** Version of the package. */
  readonly version: string;
  /** Whether the server is closing; connections are then not kept. */
  isClosing: boolean;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** For the log line. */
    servedModel?: string;
  }
}

type Handler = (request: FastifyRequest, reply: FastifyReply) => unknown;

/** A route, and the answer 405 to all other methods. */
export function route(
  app: FastifyInstance,
  method: 'GET' | 'POST',
  url: string,
  handler: Handler,
  config: FastifyContextConfig = {},
): void {
  app.route({ method, url, handler, config });
  const others: HTTPMethods[] = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH'];
  app.route({
    method: others.filter((other) => other !== method),
    url,
    handler: (_request, reply) => reply.code(405).header('allow', method).send({ error: 'Method Not Allowed' }),
  });
}

/** The model of a route /v2/models/:model[/versions/:version]. @throws {QARepVGGError} ERR_NOT_FOUND */
export function modelOf(request: FastifyRequest, { registry }: Context): ServedModel {
  const { model, version } = request.params as { model: string; version?: string };
  const found = registry.get(model, version);
  request.servedModel = model;
  return found;
}

/** Registers a handler with and without a version in the path. */
export function modelRoute(app: FastifyInstance, method: 'GET' | 'POST', action: string, handler: Handler): void {
  for (const path of ['/v2/models/:model', '/v2/models/:model/versions/:version'])
    route(app, method, path + action, handler);
}

/** What a request holds of the server until it is answered or its client disconnects. */
export interface Visit {
  readonly hold: Hold;
  readonly cancellation: Cancellation;
}

/** Begins with a request and ends with its answer. */
export function beginVisit({ raw }: FastifyReply, { registry }: Context): Visit {
  const [hold, cancellation] = [registry.memory.open(), new Cancellation()];
  raw.once('close', () => {
    if (!raw.writableFinished) cancellation.cancel();
    hold.release();
  });
  return { hold, cancellation };
}
