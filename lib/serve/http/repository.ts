import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { mismatch, QARepVGGError, within } from '../../errors';
import { readBody } from './body';
import { beginVisit, type Context, route } from './context';
import { parseJson } from './json';

/** Bodies here hold a few parameters. */
const maxBody = 65_536;

/** Index, load and unload: Triton's repository extension, without models in requests. */
export async function repository(app: FastifyInstance, context: Context): Promise<void> {
  const { registry, options } = context;

  route(app, 'POST', '/v2/repository/index', async (request, reply) => {
    const body = await readParameters(request, reply, context);
    const index = await registry.index();
    return body.ready === true ? index.filter(({ state }) => state === 'READY') : index;
  });

  const change = (action: 'load' | 'unload') =>
    route(app, 'POST', `/v2/repository/models/:model/${action}`, async (request, reply) => {
      if (options.token === undefined) {
        return reply.code(403).send({ error: `${action} is disabled; start the server with a token` });
      }
      const { parameters = {} } = await readParameters(request, reply, context);
      const foreign = Object.keys(parameters as object).find((name) => name !== 'unload_dependents');
      if (foreign !== undefined) {
        throw mismatch('ERR_INVALID_ARG', action, 'a model of the repository', `parameter ${JSON.stringify(foreign)}`);
      }
      const { model } = request.params as { model: string };
      try {
        await registry[action](model);
      } catch (error) {
        throw readable(error, `${action} ${model}`, request);
      }
      return { name: model, [action]: true };
    });
  change('load');
  change('unload');
}

/** The log names the file at fault; clients do not learn where it is. */
function readable(error: unknown, what: string, request: FastifyRequest): unknown {
  if (!(error instanceof QARepVGGError) || ['ERR_NOT_FOUND', 'ERR_DISPOSED'].includes(error.code)) return error;
  request.log.error(error);
  return mismatch('ERR_INVALID_ARG', what, 'a file that can be served', error.code);
}

async function readParameters(request: FastifyRequest, reply: FastifyReply, context: Context) {
  const { hold } = beginVisit(reply, context);
  const body = await readBody(request, hold, { limit: maxBody });
  if (body.length === 0) return {};
  const parsed = within('request', () => parseJson(body));
  if (typeof parsed === 'object' && parsed !== null) return parsed as { ready?: unknown; parameters?: unknown };
  throw mismatch('ERR_INVALID_ARG', 'request', 'an object', typeof parsed);
}
