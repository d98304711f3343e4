import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { QARepVGGError } from '../../errors';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Answered without a token: probes and the page, which reveal nothing of the models. */
    isOpen?: boolean;
  }
}

/** With a token, every request but those of open routes must carry it. */
export function requireToken(app: FastifyInstance, token: string | undefined): void {
  if (token === undefined) return;
  const isToken = tokenCheck(token);
  app.addHook('onRequest', (request, reply, done) => {
    if (request.routeOptions.config.isOpen || isToken(request.headers.authorization)) return done();
    reply.header('www-authenticate', 'Bearer');
    const message =
      'the token is missing or wrong; send the header "Authorization: Bearer TOKEN" with the token of this server';
    done(new QARepVGGError('ERR_UNAUTHORIZED', message));
  });
}

/** Compares the header with the token in a time that depends on neither. */
export function tokenCheck(token: string): (authorization: string | undefined) => boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  const expected = digest(`Bearer ${token}`);
  return (authorization = '') => timingSafeEqual(digest(authorization.replace(/^bearer /i, 'Bearer ')), expected);
}
