import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** What a server sends back for bytes as they are, until it closes the connection or is silent. */
export async function sendRaw(port: number, bytes: string | Uint8Array, { silence = 300 } = {}): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write(bytes);
  return readUntilSilent(socket, silence);
}

async function readUntilSilent(socket: Socket, silence: number): Promise<string> {
  let text = '';
  socket.setTimeout(silence, () => socket.destroy());
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
  });
  if (!socket.closed) await once(socket, 'close');
  return text;
}

/** Status codes of the responses in what {@link sendRaw} gave. */
export function statuses(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status));
}
