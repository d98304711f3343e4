import type { ServerOptions as GrpcOptions } from '@grpc/grpc-js';
import { QARepVGGError } from '../../errors';
import type { Context } from '../http/context';
import { healthHandlers, inferenceHandlers } from './handlers';
import { healthService, inferenceService } from './services';

/** The gRPC service, listening. */
export interface GrpcServer {
  readonly port: number;
  /** Refuses new calls and waits at most `timeout` milliseconds for those that run. */
  close(timeout: number): Promise<void>;
}

/**
 * Starts the service of the Open Inference Protocol and that of health checks on a port; 0 picks a free one.
 *
 * @throws {QARepVGGError} (rejects) ERR_ADDON_LOAD naming the package to install
 */
export async function startGrpc(context: Context, port: number): Promise<GrpcServer> {
  const { options } = context;
  const grpc = await import('@grpc/grpc-js').catch(missing);
  const settings: GrpcOptions = {
    'grpc.max_receive_message_length': options.maxBody,
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': options.maxConnections,
    'grpc.max_metadata_size': 16_384,
  };
  const server = new grpc.Server(settings);
  server.addService(inferenceService, inferenceHandlers(context));
  server.addService(healthService, healthHandlers(context));
  const bound = await new Promise<number>((resolve, reject) => {
    const address = `${options.host.includes(':') ? `[${options.host}]` : options.host}:${port}`;
    server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error, at) =>
      error ? reject(error) : resolve(at),
    );
  });
  return {
    port: bound,
    close: (timeout) =>
      new Promise((resolve) => {
        const timer = setTimeout(() => server.forceShutdown(), timeout);
        server.tryShutdown(() => {
          clearTimeout(timer);
          resolve();
        });
      }),
  };
}

function missing(cause: unknown): never {
  throw new QARepVGGError(
    'ERR_ADDON_LOAD',
    'serve, option grpcPort: expected the package @grpc/grpc-js, received none; install it: npm install @grpc/grpc-js',
    { cause },
  );
}
