import { type Command, InvalidArgumentError, Option } from 'commander';
import { byteCount, choice, numberFromZero, positiveInteger, wholeNumber } from './flags';

export interface ServeFlags {
  readonly model?: Record<string, string>;
  readonly repository?: string;
  readonly host?: string;
  readonly port?: number;
  readonly grpcPort?: number;
  readonly token?: string;
  readonly maxBatch?: number;
  readonly queueDelay?: number;
  readonly maxQueue?: number;
  readonly maxQueueBytes?: number;
  readonly maxBody?: number;
  readonly maxPixels?: number;
  readonly maxConnections?: number;
  readonly timeout?: number;
  readonly threads?: number;
  readonly watch?: true;
  readonly shutdownDelay?: number;
  readonly shutdownTimeout?: number;
  readonly tritonMetrics?: true;
  readonly logLevel?: 'silent' | 'error' | 'warn' | 'info' | 'debug';
  readonly json?: true;
  readonly quiet?: true;
}

export function addServeCommand(program: Command): void {
  program
    .command('serve')
    .summary('Serve models over HTTP and gRPC.')
    .description('Serve models over HTTP by the Open Inference Protocol; without a model, the one in this package.')
    .option('--model <name=file>', 'a model and its name; may be repeated', addModel)
    .option('--repository <folder>', 'serve every model in a folder')
    .option('--host <address>', 'address to listen at (default: 127.0.0.1)')
    .option('--port <n>', 'port to listen at, 0 for any (default: 8080)', wholeNumber)
    .option('--grpc-port <n>', 'serve gRPC too; needs @grpc/grpc-js', wholeNumber)
    .addOption(new Option('--token <text>', 'bearer token that requests must carry').env('QAREPVGG_TOKEN'))
    .option(
      '--max-batch <n>',
      'largest number of images that compute together (default: 8 per thread)',
      positiveInteger,
    )
    .option('--queue-delay <ms>', 'longest wait of a request for others to compute with (default: 0)', numberFromZero)
    .option('--max-queue <n>', 'most waiting requests per model (default: 128)', positiveInteger)
    .option('--max-queue-bytes <bytes>', 'most bytes of all requests together (default: 64M)', byteCount)
    .option('--timeout <ms>', 'time until a request without an answer fails (default: 30000)', positiveInteger)
    .option('--max-body <bytes>', 'largest body of a request (default: 64M)', byteCount)
    .option('--max-pixels <n>', 'largest image, in pixels after decoding (default: 33554432)', positiveInteger)
    .option('--max-connections <n>', 'most connections at a time (default: 1024)', positiveInteger)
    .option('--threads <n>', 'threads (default: all)', positiveInteger)
    .option('--watch', 'load a model again when its file is replaced')
    .option('--shutdown-delay <ms>', 'time to keep serving after SIGTERM, for load balancers', wholeNumber)
    .option('--shutdown-timeout <ms>', 'longest wait for the last answers (default: 30000)', positiveInteger)
    .option('--triton-metrics', "add metrics under Triton's names")
    .addOption(choice('--log-level <level>', 'level of the log', ['silent', 'error', 'warn', 'info', 'debug']))
    .option('--json', 'print events as JSON')
    .addHelpText(
      'after',
      '\nBytes may be written as 512k, 64M or 1G.\n\nSIGTERM and SIGINT answer what was accepted, then exit; a second one exits at\nonce. SIGHUP loads all models again.\n' +
        '\nExamples:\n  $ qarepvgg serve\n  $ qarepvgg serve --model cats=cats.onnx --port 8000\n' +
        '  $ curl --data-binary @cat.jpg http://127.0.0.1:8000/v2/models/cats/classify',
    )
    .action(async (flags: ServeFlags) => {
      const { runServer } = await import('./serve.js');
      await runServer(flags);
    });
}

/** "name=file" */
function addModel(text: string, others: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf('=');
  const name = text.slice(0, at);
  if (at < 1 || at === text.length - 1) throw new InvalidArgumentError('Expected name=file.');
  if (Object.hasOwn(others, name)) throw new InvalidArgumentError(`Expected each name once, received ${name} twice.`);
  return { ...others, [name]: text.slice(at + 1) };
}
